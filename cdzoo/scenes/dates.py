"""`opened_dates`: both dates of a scene on one grid."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cdzoo.errors import InputError
from cdzoo.io.files import PathLike
from cdzoo.io.rasters import open_raster
from cdzoo.io.scaling import Scaling
from cdzoo.io.value_ranges import filled_scalings
from cdzoo.scenes.alignment import scene_shift
from cdzoo.scenes.area import Area
from cdzoo.scenes.cloud_mask import CloudMask
from cdzoo.scenes.config import SceneCfg
from cdzoo.scenes.raster import RasterSource
from cdzoo.scenes.reflectance import Calibration, calibrations

_ALIGNED = 0.25  # pixels to which dates count as aligned


@contextmanager
def opened_dates(
    before: str | Path,
    after: str | Path,
    bands: Sequence[int | None],
    band_names: Sequence[str],
    cfg: SceneCfg,
    area: Area | None = None,
    masks: tuple[PathLike | None, PathLike | None] = (None, None),
) -> Iterator[tuple[RasterSource, RasterSource]]:
    """Open both dates of a scene on one grid, the second one aligned with the first if `cfg` says so.

    Args:
        before: First date.
        after: Second date.
        bands: Number of bands that the model expects of each; None for any.
        band_names: Their names, for error messages.
        cfg: Settings.
        area: Part of the scene, whose grid both have; by default all of the first date.
        masks: Cloud mask of each date; None for none.

    Raises:
        InputError: As for `RasterSource`; or the stored values of the dates differ in depth, scale or offset, so that one range
            of values does not fit both; or none of the values of a date lies in its range.
    """

    def options(
        scaling: Scaling, indexes: tuple[int | str, ...] | None, calibration: Calibration | None, mask: PathLike | None
    ) -> dict[str, Any]:
        found = None if mask is None else CloudMask(mask, cfg.mask_values)
        ranges = {"value_range": scaling.value_range, "percentiles": scaling.percentiles, "decibels": scaling.decibels}
        return {
            **ranges,
            "indexes": indexes,
            "band_names": band_names,
            "alpha": cfg.alpha,
            "calibration": calibration,
            "mask": found,
        }

    known = calibrations(before, after) if cfg.reflectance == "auto" else (None, None)
    (scaling, later), is_told = _scalings(before, after, cfg)
    of_after = options(later, cfg.bands_after or cfg.bands, known[1], masks[1])
    of_before = options(scaling, cfg.bands, known[0], masks[0])
    with RasterSource(before, bands[0], None if area is None else area.grid, **of_before) as first:
        first.area = area
        with RasterSource(after, bands[1], first.grid, **of_after) as second:
            if (
                cfg.reflectance == "none"
                and not is_told
                and cfg.percentiles is None
                and cfg.value_range_after is None
                and cfg.percentiles_after is None
            ):
                _check_one_scale(first, second, cfg.value_range)
            first.check_range()
            second.check_range()
            if not cfg.align:
                yield first, second
                return
            shift = scene_shift(first, second)
            if shift is None or shift.size < _ALIGNED:
                if shift is None:
                    warnings.warn(f"{after}: not aligned: the places of its content in {before} do not agree", stacklevel=3)
                yield first, second
                return
        with RasterSource(after, bands[1], first.grid, shift=shift, **of_after) as second:
            yield first, second


def _scalings(before: str | Path, after: str | Path, cfg: SceneCfg) -> tuple[tuple[Scaling, Scaling], bool]:
    """Return the scaling of each date, told from its values where none is given, and whether one was told.

    A line says what was told. Where nothing can be, the scaling has no range.
    """
    kinds = []
    for path in (before, after):
        with open_raster(path, "predicting scenes") as file:
            kinds.append(file.dtypes[0])
    if cfg.reflectance != "none":
        return cfg.scalings, False
    scalings, lines = filled_scalings((before, after), kinds, cfg.scalings)
    for line in lines:
        warnings.warn(line, stacklevel=5)
    return scalings, bool(lines)


def _check_one_scale(before: RasterSource, after: RasterSource, value_range: tuple[float, float] | None) -> None:
    if before.storage != after.storage:
        first, second = (f"'{list(value_range)}'" if value_range else "'[MIN, MAX]'", "'[MIN, MAX]'")
        raise InputError(
            f"{after.path}: {after.storage}, but {before.path} has {before.storage}, so one range of values does not fit both; "
            f"pass the range of each in the numbers that it stores: --value-range {first} --value-range-after {second}; or "
            "reflectances: --reflectance auto"
        )
    if "scale" in before.storage and value_range is not None:
        warnings.warn(
            f"{before.path}, {after.path}: {before.storage}; the range of values counts stored numbers, before scale and offset",
            stacklevel=4,
        )
