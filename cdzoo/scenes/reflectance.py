"""Reflectances of both dates of a scene: scale and offset of their stored numbers, and the offset of Sentinel-2 that differs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cdzoo.errors import InputError
from cdzoo.io.alpha import alpha_bands
from cdzoo.io.rasters import open_raster, reading, require_rasterio, valid_pixels
from cdzoo.io.reflectance import OFFSET, RANGE, UNIT, DarkGround, DateOffsets, dark_ground, date_offsets

_SAMPLE = 1024  # longest side of the sample of pixels
_SAME = 0.01  # relative difference of scales that count as equal


@dataclass(frozen=True)
class Calibration:
    """Reflectance of the stored numbers of a raster: `scale * number + offset`, for each band of the file.

    Attributes:
        scales: Factor of each band.
        offsets: Reflectance of the number 0 of each band.
        origin: How they were found.
    """

    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    origin: str

    def stored(self, reflectance: float, indexes: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the stored numbers of a reflectance in bands counted from 1."""
        scales, offsets = (np.array([values[index - 1] for index in indexes]) for values in (self.scales, self.offsets))
        return ((reflectance - offsets) / scales).astype(np.float32)


@dataclass(frozen=True)
class _Date:
    """What is known of one date: the scale and offset that the file states, None if none, and its darkest ground."""

    path: str | Path
    dtype: str
    stated: tuple[tuple[float, ...], tuple[float, ...]] | None
    ground: DarkGround | None
    names: tuple[str, ...]
    count: int

    @property
    def is_of_another_unit(self) -> bool:
        """Whether the file states other scales than reflectance x 10,000, such as those of Landsat."""
        unit = UNIT if self.ground is None else self.ground.unit
        return self.stated is not None and not np.allclose(np.array(self.stated[0]) * unit, 1, rtol=_SAME, atol=0)


def warn_of_offset(before: str | Path, after: str | Path) -> None:
    """Warn if one date seems to have the offset of Sentinel-2 products since baseline 04.00, and the other one does not."""
    dates = _read(before), _read(after)
    if any(date.is_of_another_unit for date in dates):
        return
    offsets = date_offsets(dates[0].ground, dates[1].ground)
    if offsets.differ:
        number = int(offsets.found[1] is True)
        warnings.warn(
            f"{dates[number].path}: its darkest ground has the value {_level(dates[number], offsets, number)}, and that of "
            f"{dates[1 - number].path} {_level(dates[1 - number], offsets, 1 - number)}. If they are from Sentinel-2, the first "
            f"has the offset of {OFFSET:g} of processing baseline 04.00 and the other one does not, which shows as change; "
            "correct it with --reflectance auto",
            stacklevel=3,
        )


def calibrations(before: str | Path, after: str | Path) -> tuple[Calibration, Calibration]:
    """Return the calibration of both dates, see `SceneCfg.reflectance`.

    Raises:
        InputError: A file has 8 bits, or cannot be read.
    """
    dates = _read(before), _read(after)
    offsets = date_offsets(dates[0].ground, dates[1].ground)
    return _calibration(dates[0], offsets, 0), _calibration(dates[1], offsets, 1)


def _calibration(date: _Date, offsets: DateOffsets, number: int) -> Calibration:
    if date.dtype == "uint8":
        raise InputError(f"{date.path}: 8-bit values are no reflectances; leave out --reflectance auto")
    if date.stated is not None and date.is_of_another_unit:
        scale, offset = date.stated[0][0], date.stated[1][0]
        return Calibration(*date.stated, f"scale {scale:g} and offset {offset:g}, as the file states")
    unit = UNIT if date.ground is None else date.ground.unit
    has, level = offsets.found[number], _level(date, offsets, number)
    stated = None if date.stated is None else min(date.stated[1]) < -OFFSET / UNIT / 2
    if has is None:
        has = bool(stated)
        origin = (
            f"{'the offset is that' if has else 'no offset, as'} of the file" if stated is not None else "taken as without offset"
        )
        advice = f"if that is wrong, give ranges of stored numbers, {_ranges()}"
        warnings.warn(
            f"{date.path}: cannot tell whether it has an offset (darkest ground: {level}); {origin}; {advice}", stacklevel=5
        )
    else:
        origin = f"{f'offset {OFFSET:g}' if has else 'no offset'}, as its darkest ground has the value {level}"
        if stated is not None and stated != has:
            says = f"an offset of {min(date.stated[1]):g}" if date.stated is not None and stated else "no offset"
            warnings.warn(f"{date.path}: states {says}, but its pixels show: {origin}; the pixels are believed", stacklevel=5)
    offset = -OFFSET / UNIT if has else 0.0
    return Calibration((1 / unit,) * date.count, (offset,) * date.count, origin)


def _read(path: str | Path) -> _Date:
    """Read the darkest ground from a sample of the pixels of all bands, of overviews if there are any."""
    resampling = require_rasterio("reading reflectances").enums.Resampling
    with open_raster(path, "predicting scenes") as file, reading(path, "a sample of its pixels cannot be read"):
        stated = (tuple(file.scales), tuple(file.offsets))
        plain = stated == ((1.0,) * file.count, (0.0,) * file.count)
        indexes = [index for index in file.indexes if index not in alpha_bands(file)]
        factor = max(1, -(-max(file.height, file.width) // _SAMPLE))
        size = (-(-file.height // factor), -(-file.width // factor))
        ground = None
        if file.dtypes[0] != "uint8":
            valid = valid_pixels(file, indexes, out_shape=(len(indexes), *size))
            pixels = file.read(indexes, out_shape=(len(indexes), *size), resampling=resampling.nearest)
            ground = dark_ground(pixels.transpose(1, 2, 0), valid)
        names = tuple(file.descriptions[index - 1] or f"band {index}" for index in indexes)
        return _Date(path, file.dtypes[0], None if plain else stated, ground, names, file.count)


def _level(date: _Date, offsets: DateOffsets, number: int) -> str:
    """Return the value of the darkest ground, with its band."""
    if offsets.bands[number] < 0:
        return "not known"
    unit = UNIT if date.ground is None else date.ground.unit
    return f"{offsets.levels[number] / UNIT * unit:.4g} ({date.names[offsets.bands[number]]})"


def _ranges() -> str:
    without = [round(limit * UNIT) for limit in RANGE]
    return f"such as --value-range '{without}' --value-range-after '{[round(limit + OFFSET) for limit in without]}'"
