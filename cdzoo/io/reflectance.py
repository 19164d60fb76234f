"""Offset of Sentinel-2 reflectances, told from the darkest ground of an image and of the other date.

Since processing baseline 04.00 (January 2022), the products of Sentinel-2 store 10,000 reflectance + 1000 instead of
10,000 reflectance; catalogs state this wrongly in places, so the pixels are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

UNIT = 10_000.0
"""Stored numbers per unit of reflectance."""
RANGE = (0.0, 0.3)
"""Reflectances that map to 0 and 1 by default: those that pictures of 8 bits show."""
OFFSET = 1000.0
"""Number that is added to them since processing baseline 04.00."""
_QUANTILE = 1e-3  # of the pixels are darker; fewer may be defects
_WITHOUT = 800.0  # darkest ground without the offset lies below; the largest of 48 images of Sentinel-2 is at 756
_SPREAD = 400.0  # between the darkest ground of two dates; the largest of 24 pairs is 362
_LEAST = 1000  # pixels
_CLASSES = 300.0  # bands whose numbers stay below are classes, masks, percentages, or B10, which sees no ground
_FLOAT = (-0.2, 20.0)  # reflectances as floating-point numbers


@dataclass(frozen=True)
class DarkGround:
    """Darkest ground of an image.

    Attributes:
        levels: 0.1 % quantile of each band in reflectance x 10,000; NaN for bands that are no reflectances.
        unit: Stored numbers per unit of reflectance: 10,000, or 1 for floating-point reflectances.
    """

    levels: tuple[float, ...]
    unit: float = UNIT

    @property
    def level(self) -> float:
        """Smallest level of the bands."""
        return float(np.nanmin(self.levels))


def dark_ground(pixels: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None) -> DarkGround | None:
    """Return the darkest ground of an image, or of a sample of its pixels.

    Args:
        pixels: Stored numbers (H, W, bands) of more than 8 bits. Pixels whose bands are all 0 have no data.
        valid: Where the image has data (H, W).

    Returns:
        None for fewer than two bands of reflectances, since haze lifts single ones, and for fewer than 1000 pixels with data.
    """
    used = (pixels != 0).any(-1)
    if pixels.dtype.kind == "f":
        used &= np.isfinite(pixels).all(-1)
    values = pixels[used if valid is None else used & valid]
    if len(values) < _LEAST or pixels.dtype == np.uint8:
        return None
    low, high = np.quantile(values, [_QUANTILE, 1 - _QUANTILE], axis=0)
    unit = UNIT
    if pixels.dtype.kind == "f" and high.max() <= _FLOAT[1]:
        if low.min() < _FLOAT[0]:
            return None
        unit = 1.0
    factor = UNIT / unit
    levels = np.where(high * factor < _CLASSES, np.nan, low * factor)
    return DarkGround(tuple(levels.tolist()), unit) if np.isfinite(levels).sum() > 1 else None


@dataclass(frozen=True)
class DateOffsets:
    """Which dates of a pair have the offset.

    Attributes:
        levels: Darkest ground of each date, in reflectance x 10,000, over the same bands; NaN if it is not known.
        bands: Band in which it was found, from 0; -1 if it is not known.
        found: Whether each date has the offset; None if that cannot be told.
    """

    levels: tuple[float, float]
    bands: tuple[int, int]
    found: tuple[bool | None, bool | None]

    @property
    def differ(self) -> bool:
        """Whether one date has the offset and the other one does not."""
        return None not in self.found and self.found[0] != self.found[1]


def date_offsets(first: DarkGround | None, second: DarkGround | None) -> DateOffsets:
    """Tell which of two dates of one place have the offset.

    A date with ground darker than 800 has none; one whose darkest ground lies between 1000 and 1800 has it. If the dates differ
    by 1000, give or take 400, the brighter one has it if the darkest ground of the other one lies below 1000. If one alone seems
    to have it without such a difference, or without dark ground, as in bright deserts, snow and clouds, it cannot be told.
    """
    levels, bands = [np.nan, np.nan], [-1, -1]
    both = [None if ground is None else np.array(ground.levels) for ground in (first, second)]
    if both[0] is not None and both[1] is not None and both[0].shape == both[1].shape:
        common = np.isfinite(both[0]) & np.isfinite(both[1])
        if common.any():
            both = [None if one is None else np.where(common, one, np.nan) for one in both]
    for date, one in enumerate(both):
        if one is not None:
            bands[date] = int(np.nanargmin(one))
            levels[date] = float(one[bands[date]])
    found = [_has_offset(level) for level in levels]
    darker, brighter = np.argsort(levels)
    if levels[brighter] >= _WITHOUT and abs(levels[brighter] - levels[darker] - OFFSET) <= _SPREAD:
        found[darker], found[brighter] = (False, True) if levels[darker] < OFFSET else (None, None)
    elif found[brighter] and not found[darker]:  # two dates of one place would differ by 1000
        found[brighter] = None
    return DateOffsets((levels[0], levels[1]), (bands[0], bands[1]), (found[0], found[1]))


def _has_offset(level: float) -> bool | None:
    if level < _WITHOUT:
        return False
    return True if OFFSET <= level < OFFSET + _WITHOUT else None
