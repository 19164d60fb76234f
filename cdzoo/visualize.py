"""Pictures of change: overlay, errors by colour, and strips of panels. Pillow only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

UInt8 = npt.NDArray[np.uint8]

TP_COLOR = (255, 255, 255)
FP_COLOR = (230, 60, 40)
FN_COLOR = (40, 110, 240)
CHANGE_COLOR = (255, 60, 60)


def to_rgb(image: UInt8) -> UInt8:
    """Show an image (H, W, bands) in three bands: the first three, or the first one as grey."""
    return image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)


def mask_picture(mask: UInt8) -> UInt8:
    """Show a mask (H, W) in {0, 1} as black and white (H, W, 3)."""
    return np.repeat((mask[..., None] * 255).astype(np.uint8), 3, axis=2)


def overlay(image: UInt8, mask: UInt8, opacity: float = 0.45) -> UInt8:
    """Tint the changed pixels of an image (H, W, bands) red and outline them; (H, W, 3)."""
    picture = to_rgb(image).astype(np.float32)
    changed = mask.astype(bool)
    picture[changed] = picture[changed] * (1 - opacity) + np.array(CHANGE_COLOR, np.float32) * opacity
    inner = changed.copy()
    for axis in (0, 1):
        for shift in (1, -1):
            inner &= np.roll(changed, shift, axis)
    picture[changed & ~inner] = CHANGE_COLOR
    return picture.round().astype(np.uint8)


def errors(predicted: UInt8, truth: UInt8) -> UInt8:
    """Colour a prediction (H, W) against the truth: found white, false alarm red, missed blue; (H, W, 3)."""
    picture = np.zeros((*truth.shape, 3), np.uint8)
    said, is_change = predicted.astype(bool), truth.astype(bool)
    picture[said & is_change] = TP_COLOR
    picture[said & ~is_change] = FP_COLOR
    picture[~said & is_change] = FN_COLOR
    return picture


def strip(rows: Sequence[Sequence[UInt8]], titles: Sequence[str], gap: int = 8) -> Image.Image:
    """Set panels (H, W, 3) of one size side by side, a row per sample, with a title over each column."""
    height, width = rows[0][0].shape[:2]
    points = max(11, min(18, width // 16))
    font = ImageFont.load_default(size=points)
    bar = int(points * 1.7)
    columns = len(titles)
    sheet = Image.new("RGB", (columns * (width + gap) + gap, bar + len(rows) * (height + gap)), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((gap + column * (width + gap) + width / 2, bar / 2), title, fill="black", font=font, anchor="mm")
    for row, panels in enumerate(rows):
        for column, panel in enumerate(panels):
            sheet.paste(Image.fromarray(panel), (gap + column * (width + gap), bar + row * (height + gap)))
    return sheet
