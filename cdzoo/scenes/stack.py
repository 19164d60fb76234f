"""`stack_dates`: both dates of a scene as the bands of one 8-bit raster, for programs that take a single image."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from cdzoo.inference.sources import Array
from cdzoo.io.band_files import is_several, one_raster, several_files
from cdzoo.io.files import output_path
from cdzoo.io.outputs import check_outputs, exclusive
from cdzoo.io.rasters import limited_cache, require_rasterio
from cdzoo.scenes.config import SceneCfg
from cdzoo.scenes.dates import opened_dates
from cdzoo.scenes.geotiff import replace_raster
from cdzoo.scenes.inputs import input_files
from cdzoo.scenes.outputs import RASTERS, writing
from cdzoo.scenes.raster import RasterSource
from cdzoo.tiling import Window

_BLOCK = 512  # side of an internal block of the file in pixels
_STEP = 2 * _BLOCK  # side of what is read at once


def stack_dates(before: str | Path, after: str | Path, output: str | Path, cfg: SceneCfg | None = None) -> list[str]:
    """Write both dates as the bands of one GeoTIFF on the grid of the first date.

    Bands are called `t1_1`, `t1_2`, ..., `t2_1`, ... Values are 0..255: those of 8-bit rasters, or the range of values or the
    percentiles of others. Pixels without data in one of the dates are 0 in all bands. Memory does not depend on the size.

    Args:
        before: First date: any raster that GDAL reads, or the files of its bands, see `one_raster`.
        after: Second date; resampled bilinearly if it has another grid, as by `predict_scene`.
        output: GeoTIFF to write.
        cfg: Settings, of which those about bands and values are used.

    Returns:
        Names of the bands.

    Raises:
        InputError: A raster cannot be read, does not overlap the other one, or has more than 8 bits and no range of values; the
            output cannot be written.
        MissingDependencyError: rasterio is not installed.
    """
    if is_several(before) or is_several(after):
        with one_raster(before) as first, one_raster(after) as second:
            inputs = [*several_files(before), *several_files(after)]
            check_outputs({"-o": output_path(output)}, inputs)
            return stack_dates(first, second, output, cfg)
    cfg = cfg or SceneCfg()
    target = output_path(output, suffixes=RASTERS, purpose="the stack of both dates is a GeoTIFF")
    check_outputs({"-o": target}, [*input_files(before), *input_files(after)])
    rasterio = require_rasterio("stacking scenes")
    with ExitStack() as stack:
        stack.enter_context(exclusive(target))
        stack.enter_context(limited_cache())
        dates = stack.enter_context(opened_dates(before, after, (None, None), (), cfg))
        grid = dates[0].grid
        names = [f"t{date}_{band}" for date, source in enumerate(dates, 1) for band in range(1, source.bands + 1)]
        profile: dict[str, Any] = {"driver": "GTiff", "count": len(names), "dtype": "uint8", "crs": grid.crs}
        profile |= {"height": grid.height, "width": grid.width, "transform": grid.transform, "BIGTIFF": "IF_SAFER"}
        profile |= {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "compress": "deflate"}
        profile |= {"photometric": "MINISBLACK", "alpha": "NO"}  # four bands are no color with transparency
        stack.enter_context(writing(target))
        temporary = stack.enter_context(replace_raster(target))
        with rasterio.open(temporary, "w", **profile) as file:
            file.update_tags(before=Path(before).name, after=Path(after).name)
            file.update_tags(values_before=dates[0].values, values_after=dates[1].values)
            for index, name in enumerate(names, 1):
                file.set_band_description(index, name)
            for window in _windows(grid.height, grid.width):
                file.write(_pixels(dates, window).transpose(2, 0, 1), window=window.slices)
            levels = [2**level for level in range(1, 16) if max(grid.height, grid.width) >> level >= _BLOCK // 2]
            if levels:
                file.build_overviews(levels, rasterio.enums.Resampling.average)
    return names


def _windows(height: int, width: int) -> list[Window]:
    rows, columns = (
        [range(start, min(start + _STEP, length)) for start in range(0, length, _STEP)] for length in (height, width)
    )
    return [Window.of(row, column) for row in rows for column in columns]


def _pixels(dates: tuple[RasterSource, RasterSource], window: Window) -> Array:
    """Return the pixels of both dates (height, width, bands), uint8."""
    found = [source.read(window) for source in dates]
    valid = found[0][1] & found[1][1]
    scaled = [pixels if source.scaling is None else _to_bytes(pixels) for source, (pixels, _) in zip(dates, found, strict=True)]
    return np.where(valid[..., None], np.concatenate(scaled, -1), np.uint8(0))


def _to_bytes(pixels: Array) -> Array:
    return (pixels.clip(0, 1) * 255).round().astype(np.uint8)
