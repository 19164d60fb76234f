"""Visualization of change maps with Pillow: overlays, error maps, maps of classes with legends, and figures of panels."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from cdzoo.constants import IGNORE_INDEX, RGB

UInt8 = npt.NDArray[np.uint8]
Classes = tuple[Sequence[str], Sequence[RGB]]
"""Name and color of each value of a map, starting with 0."""

TP_COLOR = (255, 255, 255)
FP_COLOR = (230, 60, 40)
FN_COLOR = (40, 110, 240)
WRONG_COLOR = (250, 190, 40)
CHANGE_COLOR = (255, 60, 60)
IGNORED_COLOR = (128, 128, 128)
_MAX_SIDE = 1024  # of a panel of `map_sheet`, in pixels
_MAX_ENTRIES = 16  # of the legend of a map


def to_rgb(image: UInt8) -> UInt8:
    """Convert an image (H, W, bands) to RGB (H, W, 3): the first three bands, or the first band as gray if there are fewer."""
    return image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)


def mask_picture(mask: UInt8) -> UInt8:
    """Convert a mask (H, W) in {0, 1, 255} to an image (H, W, 3): black, white, and gray for pixels without a label."""
    return np.repeat(np.where(mask == IGNORE_INDEX, 128, mask * 255).astype(np.uint8)[..., None], 3, axis=2)


def class_picture(classes: UInt8, colors: Sequence[RGB]) -> UInt8:
    """Convert a map (H, W) to an image (H, W, 3) in the colors of its values; values without a color, such as 255, are gray."""
    return _palette(colors)[classes]


def indexed_picture(classes: UInt8, colors: Sequence[RGB]) -> Image.Image:
    """Return a palette image whose pixels have the values of a map (H, W) and are shown in their colors."""
    picture = Image.fromarray(classes)
    picture.putpalette(_palette(colors).tobytes())
    return picture


def overlay(image: UInt8, mask: UInt8, opacity: float = 0.45, colors: Sequence[RGB] = ((0, 0, 0), CHANGE_COLOR)) -> UInt8:
    """Return an RGB image (H, W, 3) with changed pixels tinted and outlined.

    Args:
        image: Image (H, W, bands), uint8.
        mask: Map (H, W) whose value 0 is "no change"; other values are tinted, except 255 (no data).
        opacity: Opacity of the tint, in [0, 1].
        colors: Color of each value; red for change by default.
    """
    output = to_rgb(image).astype(np.float32)
    changed = (mask != 0) & (mask != IGNORE_INDEX)
    tint = _palette(colors)[mask[changed]].astype(np.float32)
    output[changed] = output[changed] * (1 - opacity) + tint * opacity
    inner = changed.copy()
    for axis in (0, 1):
        for shift in (1, -1):
            inner &= np.roll(mask, shift, axis) == mask
    border = changed & ~inner
    output[border] = _palette(colors)[mask[border]]
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


def overlay_uri(mask: UInt8, colors: Sequence[RGB]) -> str:
    """Return a map (H, W) in the colors of its values as a PNG inside a URI, transparent where it is 0."""
    data = io.BytesIO()
    indexed_picture(mask, colors).save(data, "PNG", transparency=bytes([0] + [255] * 255))
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


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


def map_sheet(before: UInt8, after: UInt8, maps: Mapping[str, UInt8], legends: Mapping[str, Classes]) -> Image.Image:
    """Return a figure of both dates, of the maps in their colors, the first one last, and of a legend of the values that occur.

    Args:
        before: First date (H, W, bands), uint8.
        after: Second date.
        maps: Maps (H, W) by name.
        legends: Names and colors of the values of each map.
    """
    step = -(-max(before.shape[:2]) // _MAX_SIDE)
    shown = {name: maps[name][::step, ::step] for name in [*[*maps][1:], *[*maps][:1]]}
    panels = [to_rgb(image[::step, ::step]) for image in (before, after)]
    panels += [class_picture(values, legends[name][1]) for name, values in shown.items()]
    titles = {name: name.replace("_", " ") for name in shown}
    sheet = strip([panels], ["before", "after", *titles.values()])
    groups: dict[tuple[tuple[str, ...], tuple[RGB, ...]], list[str]] = {}
    for name in shown:
        groups.setdefault((tuple(legends[name][0]), tuple(legends[name][1])), []).append(name)
    for (names, colors), group in groups.items():
        entries = occurring_classes([shown[name] for name in group], (names, colors))
        sheet = with_legend(sheet, entries, ", ".join(titles[name] for name in group))
    return sheet


def with_legend(picture: Image.Image, entries: Sequence[tuple[str, RGB]], title: str = "") -> Image.Image:
    """Return a picture with a legend below it: a title, and a colored box for each name, in as many lines as needed."""
    legend = _legend(title, entries, picture.width)
    sheet = Image.new("RGB", (picture.width, picture.height + legend.height))
    sheet.paste(picture, (0, 0))
    sheet.paste(legend, (0, picture.height))
    return sheet


def occurring_classes(maps: Sequence[UInt8], classes: Classes) -> list[tuple[str, RGB]]:
    """Return the names and colors of the values that occur in maps, or of the most frequent ones if there are many."""
    names, colors = classes
    counts = np.sum([np.bincount(values.ravel(), minlength=256) for values in maps], axis=0)[: len(names)]
    most = sorted(np.argsort(-counts, kind="stable")[:_MAX_ENTRIES])
    entries = [(names[value], colors[value]) for value in most if counts[value]]
    if left := int((counts > 0).sum()) - len(entries):
        entries.append((f"{left} others", (255, 255, 255)))
    return entries


def _palette(colors: Sequence[RGB]) -> UInt8:
    """Return the color of each value of a map (256, 3)."""
    table = np.full((256, 3), IGNORED_COLOR, np.uint8)
    table[: len(colors)] = np.asarray(colors, np.uint8)
    return table


def _legend(title: str, entries: Sequence[tuple[str, RGB]], width: int) -> Image.Image:
    """Return a title and one box and name per entry, in lines of at most `width` pixels."""
    line, box, margin = 22, 13, 8
    font = ImageFont.load_default(size=box)
    places, x, y = [], margin, line if title else 0
    for name, _ in entries:
        size = box + 6 + int(font.getlength(name)) + 16
        if x > margin and x + size > width:
            x, y = margin, y + line
        places.append((x, y))
        x += size
    picture = Image.new("RGB", (width, y + line + margin // 2), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((margin, line / 2), title, fill="black", font=font, anchor="lm")
    for (name, color), (left, top) in zip(entries, places, strict=True):
        middle = top + line / 2
        draw.rectangle((left, middle - box / 2, left + box, middle + box / 2), fill=color, outline=(90, 90, 90))
        draw.text((left + box + 6, middle), name, fill="black", font=font, anchor="lm")
    return picture
