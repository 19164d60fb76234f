"""Contact sheet of a data set: thumbnails of both dates and of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cdzoo.data.labels import Labels, Maps
from cdzoo.data.listing import PairFiles
from cdzoo.data.masks import MaskEncoding, read_mask
from cdzoo.io.images import UInt8, image_format, read_image_and_valid
from cdzoo.visualize import mask_picture, strip, to_rgb

_THUMB = 160
_IGNORED = (128, 128, 128)


def contact_sheet(pairs: Sequence[tuple[PairFiles, MaskEncoding | None]], labels: Labels | None = None) -> Image.Image:
    """Return a picture with a row of thumbnails for each pair.

    Args:
        pairs: Files of at least one pair, with the encoding of its mask.
        labels: Reads the targets of several classes; None for masks of change.
    """
    titles: list[str] = []
    rows = []
    for pair, encoding in pairs:
        if labels is None:
            pictures = {"change": mask_picture(read_mask(pair.mask, encoding, pair.placement))}
        else:
            pictures = label_pictures(labels, labels.read(pair))
        titles = ["before", "after", *(name.replace("_", " ") for name in pictures)]
        rows.append([thumbnail(picture) for picture in (*map(_shown, pair.images), *pictures.values())])
    return strip(rows, titles)


def label_pictures(labels: Labels, targets: Maps) -> dict[str, UInt8]:
    """Return a picture (H, W, 3) of each target: its classes in their colors, 0 black, and ignored pixels gray."""
    from cdzoo.tasks.palette import class_colors  # imports torch, which masks of change do not need

    pictures = {}
    for target, names in labels.value_names().items():
        kinds = names[1:]
        colors = labels.colors[-len(kinds) :] if len(labels.colors) >= len(kinds) else class_colors(kinds)
        table = np.full((256, 3), _IGNORED, np.uint8)
        table[: len(names)] = ((0, 0, 0), *(colors if len(kinds) > 1 else [(255, 255, 255)]))
        pictures[target] = table[targets[target]]
    return pictures


def _shown(path: Path) -> UInt8:
    bands, kind = image_format(path)[2:]
    pixels, _ = read_image_and_valid(path, bands, None if kind == "uint8" else (0.0, 1.0))
    return shown_pixels(pixels)


def shown_pixels(pixels: npt.NDArray[Any]) -> UInt8:
    """Return pixels (H, W, bands) as RGB (H, W, 3), stretched between their 2nd and 98th percentile unless they have 8 bits."""
    if pixels.dtype != np.uint8:
        low, high = np.percentile(pixels, (2, 98))
        pixels = (255 * np.clip((pixels - low) / max(1e-12, high - low), 0, 1)).astype(np.uint8)
    return to_rgb(pixels.astype(np.uint8))


def thumbnail(panel: UInt8, side: int = _THUMB) -> UInt8:
    """Return a picture (H, W, 3), made smaller if necessary, on a white square."""
    small = Image.fromarray(panel)
    small.thumbnail((side, side))
    sheet = Image.new("RGB", (side, side), "white")
    sheet.paste(small)
    return np.asarray(sheet)
