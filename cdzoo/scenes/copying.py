"""`write_copy`: pixels that are read window by window, written as a local GeoTIFF."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cdzoo.errors import InputError
from cdzoo.inference.sources import Array, Mask
from cdzoo.io.georeference import Grid
from cdzoo.io.progress import is_watched, tqdm
from cdzoo.io.rasters import open_raster
from cdzoo.scenes.geotiff import replace_raster
from cdzoo.tiling import Window

_BLOCK = 512  # side of an internal block of the file in pixels
_STEP = 4 * _BLOCK  # side of what is read at once
REQUEST_TAG = "request_sha256"
"""Hash of what is copied, or mapped."""


@dataclass(frozen=True)
class CopiedBand:
    """Band of a copy.

    Attributes:
        name: Its name; None for none.
        scaling: Scale and offset that are stated for its values.
        meaning: What it is for GDAL (rasterio.enums.ColorInterp); None for a band of values.
    """

    name: str | None
    scaling: tuple[float, float] = (1.0, 0.0)
    meaning: Any = None


def write_copy(
    file: Path,
    grid: Grid,
    dtype: npt.DTypeLike,
    bands: Sequence[CopiedBand],
    read: Callable[[Window], tuple[Array, Mask | None]],
    title: str,
    tags: Mapping[str, str],
    nodata: float | None = None,
) -> None:
    """Write a copy, which has its name when it is complete.

    Args:
        file: GeoTIFF to write.
        grid: Its pixels.
        dtype: Type of its values.
        bands: Its bands.
        read: Function that returns the pixels of a window (bands, height, width), and where they are valid (height, width); None
            for no mask.
        title: What is read, for the progress bar.
        tags: Metadata of the file, with what `is_copy` asks for.
        nodata: Value without data; None for none.
    """
    import rasterio

    windows = [
        Window.of(range(y, min(y + _STEP, grid.height)), range(x, min(x + _STEP, grid.width)))
        for y in range(0, grid.height, _STEP)
        for x in range(0, grid.width, _STEP)
    ]
    look: dict[str, Any] = {"desc": f"reading {title}", "dynamic_ncols": True, "disable": not is_watched()}
    profile: dict[str, Any] = {"driver": "GTiff", "count": len(bands), "dtype": dtype, "crs": grid.crs, "nodata": nodata}
    profile |= {"height": grid.height, "width": grid.width, "transform": grid.transform, "BIGTIFF": "IF_SAFER"}
    profile |= {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "compress": "deflate"}
    profile |= {"photometric": "MINISBLACK", "alpha": "NO"}
    profile["num_threads"] = 1  # threads of GDAL print errors about the bands of such files
    with ExitStack() as stack:
        temporary = stack.enter_context(replace_raster(file))
        stack.enter_context(rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True))
        with rasterio.open(temporary, "w", **profile) as raster:
            raster.update_tags(**tags)
            raster.descriptions = [band.name for band in bands]
            raster.scales, raster.offsets = zip(*(band.scaling for band in bands), strict=True)
            if any(band.meaning is not None for band in bands):
                raster.colorinterp = [band.meaning or rasterio.enums.ColorInterp.undefined for band in bands]
            for window in tqdm(windows, **look):
                pixels, valid = read(window)
                at = rasterio.windows.Window(window.x, window.y, window.width, window.height)
                raster.write(pixels.astype(dtype, copy=False), window=at)
                if valid is not None:
                    raster.write_mask(valid, window=at)


def is_copy(file: Path, request: str) -> bool:
    """Return whether a file is a complete copy of what has a hash."""
    try:
        with open_raster(file) as found:
            return bool(found.tags().get(REQUEST_TAG) == request)
    except InputError:
        return False
