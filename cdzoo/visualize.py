"""Visualization of change maps with Pillow: overlays, error maps and figures of panels."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from cdzoo.constants import IGNORE_INDEX

UInt8 = npt.NDArray[np.uint8]
RGB = tuple[int, int, int]

TP_COLOR = (255, 255, 255)
FP_COLOR = (230, 60, 40)
FN_COLOR = (40, 110, 240)
WRONG_COLOR = (250, 190, 40)
CHANGE_COLOR = (255, 60, 60)
NO_LABEL_COLOR = (128, 128, 128)


def to_rgb(image: UInt8) -> UInt8:
    """Convert an image (H, W, bands) to RGB (H, W, 3): the first three bands, or the first band as gray if there are fewer."""
    return image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)


def mask_picture(mask: UInt8) -> UInt8:
    """Convert a mask (H, W) in {0, 1, 255} to an image (H, W, 3): black, white, and gray for pixels without a label."""
    return np.repeat(np.where(mask == IGNORE_INDEX, 128, mask * 255).astype(np.uint8)[..., None], 3, axis=2)


def class_picture(classes: UInt8, colors: Sequence[RGB]) -> UInt8:
    """Convert a map of classes (H, W) to an image (H, W, 3): the color of each class, and gray for 255 (no label)."""
    table = np.full((256, 3), NO_LABEL_COLOR, np.uint8)
    table[: len(colors)] = np.array(colors, np.uint8).reshape(-1, 3)
    return table[classes]


def overlay(image: UInt8, mask: UInt8, opacity: float = 0.45) -> UInt8:
    """Return an RGB image (H, W, 3) with changed pixels tinted red and outlined.

    Args:
        image: Image (H, W, bands), uint8.
        mask: Change map (H, W) in {0, 1}.
        opacity: Opacity of the tint, in [0, 1].
    """
    output = to_rgb(image).astype(np.float32)
    changed = mask.astype(bool)
    output[changed] = output[changed] * (1 - opacity) + np.array(CHANGE_COLOR, np.float32) * opacity
    inner = changed.copy()
    for axis in (0, 1):
        for shift in (1, -1):
            inner &= np.roll(changed, shift, axis)
    output[changed & ~inner] = CHANGE_COLOR
    return output.round().astype(np.uint8)


def errors(predicted: UInt8, truth: UInt8) -> UInt8:
    """Return an error map (H, W, 3): true positives white, false positives red, false negatives blue, true negatives black.

    Positives with another class than that of the reference are yellow.

    Args:
        predicted: Predicted map (H, W): 0 for no change.
        truth: Reference of the same shape.
    """
    output = np.zeros((*truth.shape, 3), np.uint8)
    positive, changed = predicted.astype(bool), truth.astype(bool)
    output[positive & changed] = WRONG_COLOR
    output[positive & (predicted == truth)] = TP_COLOR
    output[positive & ~changed] = FP_COLOR
    output[~positive & changed] = FN_COLOR
    return output


def data_uri(image: Image.Image, quality: int = 85) -> str:
    """Return a picture as a JPEG inside a URI, for pages without further files. Single pixels keep their color."""
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()


def strip(rows: Sequence[Sequence[UInt8]], titles: Sequence[str], gap: int = 8) -> Image.Image:
    """Return a figure with one row of panels per sample and a title above each column.

    Args:
        rows: Panels (H, W, 3) of each sample, uint8, all of the same size.
        titles: Title of each column.
        gap: Distance between panels in pixels.
    """
    height, width = rows[0][0].shape[:2]
    font_size = max(11, min(18, width // 16))
    font = ImageFont.load_default(size=font_size)
    header = int(font_size * 1.7)
    columns = len(titles)
    sheet = Image.new("RGB", (columns * (width + gap) + gap, header + len(rows) * (height + gap)), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((gap + column * (width + gap) + width / 2, header / 2), title, fill="black", font=font, anchor="mm")
    for row, panels in enumerate(rows):
        for column, panel in enumerate(panels):
            sheet.paste(Image.fromarray(panel), (gap + column * (width + gap), header + row * (height + gap)))
    return sheet


def with_legend(picture: Image.Image, names: Sequence[str], colors: Sequence[RGB]) -> Image.Image:
    """Return a picture with a legend below it: a colored square and a name for each class, in as many rows as needed.

    Args:
        picture: Picture.
        names: Name of each class.
        colors: Color of each class.
    """
    font = ImageFont.load_default(size=14)
    side, gap = 14, 8
    places, x, row = [], gap, 0
    for name in names:
        width = side + 5 + int(font.getlength(name)) + 2 * gap
        if x > gap and x + width > picture.width:
            x, row = gap, row + 1
        places.append((x, picture.height + gap + row * (side + gap)))
        x += width
    sheet = Image.new("RGB", (picture.width, picture.height + 2 * gap + (row + 1) * (side + gap) - gap), "white")
    sheet.paste(picture)
    draw = ImageDraw.Draw(sheet)
    for (x, y), name, color in zip(places, names, colors, strict=True):
        draw.rectangle((x, y, x + side, y + side), fill=color, outline="gray")
        draw.text((x + side + 5, y + side / 2), name, fill="black", font=font, anchor="lm")
    return sheet
