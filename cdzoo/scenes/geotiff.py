"""Writing maps: Cloud Optimized GeoTIFFs, part by part, complete or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.io.files import replace_atomically
from cdzoo.io.rasters import limited_cache
from cdzoo.scenes.raster import Grid

NODATA = 255
"""In masks and 8-bit probabilities: one of the dates has no data here."""
_BLOCK = 512


def write_cog(
    path: Path,
    grid: Grid,
    dtype: str,
    nodata: float,
    parts: Iterable[tuple[int, int, npt.NDArray[Any]]],
    tags: Mapping[str, str],
) -> None:
    """Write one band as a Cloud Optimized GeoTIFF with overviews.

    Args:
        path: Output; it appears complete or not at all.
        grid: Where it lies.
        dtype: Type of the values.
        nodata: Value that stands for no data.
        parts: First row, first column and values (rows, columns); together they cover the grid.
        tags: Metadata.
    """
    import rasterio
    import rasterio.shutil
    from rasterio.windows import Window

    profile: dict[str, Any] = {"driver": "GTiff", "count": 1, "dtype": dtype, "nodata": nodata, "compress": "deflate"}
    profile |= {"height": grid.height, "width": grid.width, "crs": grid.crs, "transform": grid.transform, "BIGTIFF": "IF_SAFER"}
    if min(grid.height, grid.width) >= 16:
        profile |= {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK}
    plain = path.with_name(f".{path.name}.plain.tif")
    try:
        with limited_cache():
            with rasterio.open(plain, "w", **profile) as file:
                file.update_tags(**tags)
                for row, column, values in parts:
                    window = Window(column, row, values.shape[1], values.shape[0])
                    file.write(values.astype(dtype, copy=False), 1, window=window)
            with replace_atomically(path) as temporary:
                options = {"COMPRESS": "DEFLATE", "BLOCKSIZE": str(_BLOCK), "BIGTIFF": "IF_SAFER"}
                # The nearest pixel: the mean of masks is no mask.
                options |= {"OVERVIEW_RESAMPLING": "NEAREST", "PREDICTOR": "NO"}
                rasterio.shutil.copy(plain, temporary, driver="COG", **options)
    finally:
        plain.unlink(missing_ok=True)


def as_mask(probability: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_], threshold: float) -> npt.NDArray[np.uint8]:
    """Return 1 for change, 0 for none, `NODATA` where a date has no data."""
    return np.where(valid, probability >= threshold, NODATA).astype(np.uint8)


def as_bytes(probability: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Return the probability in steps of 1/200, so that 200 is 1.0, and `NODATA` where a date has no data."""
    return np.where(valid, (probability * 200).round(), NODATA).astype(np.uint8)
