"""Values of mask files: read, counted, and told from noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.errors import InputError
from cdzoo.io.images import UInt8, read_gray
from cdzoo.io.placement import BACKGROUND, OUTSIDE, POLYGON, Placement, Values, burn, is_vector, to_grid
from cdzoo.io.rasters import open_raster

Histogram = npt.NDArray[np.int64]
"""Number of pixels of each of the 256 values of a mask."""
Counts = tuple[int, int, int]
"""Number of unchanged, changed and unlabeled pixels of a mask."""
NEAR = 48
"""Values that are less than this away from 0 or 255 are near it."""
CLEAR_SHARE = 0.95
"""Minimum fraction of such values in a noisy mask."""
_NOISE = 3  # minimum number of values other than 0 and 255 near each of them in noisy masks
_BLOCK = 1 << 22


def count_mask(path: Path, placement: Placement | None, indexed: bool) -> tuple[Histogram, Counts] | InputError:
    """Return the number of pixels of each stored value, and of unchanged, changed and unlabeled ones without a value."""
    try:
        pixels = read_values(path, placement, indexed)
    except InputError as error:
        return error
    if placement is None:
        return count_stored(pixels), (0, 0, 0)
    unchanged, changed, unlabeled = (int(np.count_nonzero(pixels == kind)) for kind in (BACKGROUND, POLYGON, OUTSIDE))
    return count_stored(pixels), (unchanged, changed, unlabeled)


def read_values(path: str | Path, placement: Placement | None, indexed: bool = False) -> UInt8 | Values:
    """Return the values of a mask (H, W), on the grid of the image that a placement names, see `read_gray`."""
    if placement is None:
        return read_gray(path, indexed)
    if is_vector(path):
        return burn(path, placement)
    return to_grid(path, lambda slices: read_gray(path, indexed, slices), placement)


def count_stored(pixels: Any) -> Histogram:
    """Return the number of pixels of each stored value, of pixels from `read_values`."""
    return count_values(pixels if pixels.dtype == np.uint8 else pixels[pixels >= 0].astype(np.uint8))


def count_values(pixels: UInt8) -> Histogram:
    """Return the number of pixels of each of the 256 values."""
    flat = pixels.reshape(-1)
    blocks = np.array_split(flat, flat.size // _BLOCK + 1)  # bincount converts its input to int64
    return np.sum([np.bincount(block, minlength=256) for block in blocks], 0)


def count_scene_mask(path: Path, indexed: bool) -> Histogram:
    """Return the number of pixels of each value of a mask of any size, which is read in parts."""
    with open_raster(path, f"{path}: reading masks of scenes") as source:
        height, width = source.height, source.width
    rows = max(1, _BLOCK // width)
    parts = (slice(first, min(first + rows, height)) for first in range(0, height, rows))
    return np.sum([count_values(read_gray(path, indexed, (part, slice(0, width)))) for part in parts], 0)


def is_noise(histogram: Histogram) -> bool:
    """Return whether values are noise around 0 and 255, and not classes, of which few are near 255."""
    values = np.flatnonzero(histogram)
    sides = ((values > 0) & (values < NEAR)).sum(), ((values > 255 - NEAR) & (values < 255)).sum()
    return bool(min(sides) >= _NOISE) and near_share(histogram) >= CLEAR_SHARE


def near_share(histogram: Histogram) -> float:
    """Return the fraction of values near 0 or 255."""
    return float((histogram[:NEAR].sum() + histogram[256 - NEAR :].sum()) / max(1, histogram.sum()))


def shown_values(histogram: Histogram) -> str:
    """Return the values that occur as text, the first eight of them."""
    values = np.flatnonzero(histogram)
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
