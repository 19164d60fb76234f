"""Write maps as Cloud Optimized GeoTIFFs, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cdzoo.constants import IGNORE_INDEX
from cdzoo.inference.blocks import Float32
from cdzoo.inference.sources import Array, Mask
from cdzoo.io.files import replace_atomically
from cdzoo.io.georeference import Grid
from cdzoo.io.images import UInt8
from cdzoo.tiling import Window

STEPS = 200
"""Value of probability 1 in maps of type uint8; nodata is `IGNORE_INDEX`."""
_BLOCK = 512  # side of an internal block of the file in pixels


def write_cog(path: Path, grid: Grid, dtype: str, blocks: Iterable[tuple[Window, Array]], tags: Mapping[str, str]) -> None:
    """Write one band as a Cloud Optimized GeoTIFF with overviews.

    Args:
        path: Output file, written atomically.
        grid: Size and location of the map.
        dtype: Type of the values. Nodata is NaN for floating-point types, otherwise `IGNORE_INDEX`.
        blocks: Location and values (height, width) of blocks that cover the grid.
        tags: Metadata of the file.
    """
    import rasterio
    import rasterio.shutil

    nodata = float("nan") if dtype.startswith("float") else IGNORE_INDEX
    profile: dict[str, Any] = {"driver": "GTiff", "count": 1, "dtype": dtype, "nodata": nodata, "compress": "deflate"}
    profile |= {"height": grid.height, "width": grid.width, "crs": grid.crs, "transform": grid.transform, "BIGTIFF": "IF_SAFER"}
    if min(grid.height, grid.width) >= 16:
        profile |= {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK}
    plain = path.with_name(f".{path.name}.plain.tif")
    try:
        with rasterio.open(plain, "w", **profile) as file:
            file.update_tags(**tags)
            for window, values in blocks:
                file.write(values, 1, window=window.slices)
        with replace_atomically(path) as temporary:
            options = {"COMPRESS": "DEFLATE", "BLOCKSIZE": str(_BLOCK), "BIGTIFF": "IF_SAFER"}
            # Nearest neighbor, because the mean of class labels is meaningless.
            options |= {"OVERVIEW_RESAMPLING": "NEAREST", "PREDICTOR": "NO"}
            rasterio.shutil.copy(plain, temporary, driver="COG", **options)
    finally:
        plain.unlink(missing_ok=True)


def encode_mask(classes: UInt8, valid: Mask) -> UInt8:
    """Return the classes of a change map, with `IGNORE_INDEX` where a date has no data."""
    return np.where(valid, classes, IGNORE_INDEX).astype(np.uint8)


def encode_probability(probability: Float32, valid: Mask, dtype: str) -> Array:
    """Return the values of a probability map of type `uint8` or `float32`; see `STEPS`."""
    if dtype == "uint8":
        return np.where(valid, (probability * STEPS).round(), IGNORE_INDEX).astype(np.uint8)
    return np.where(valid, probability, np.nan).astype(np.float32)


def decode_probability(values: Array) -> Array:
    """Convert the values of a probability map to probabilities, with NaN for nodata."""
    return np.where(values == IGNORE_INDEX, np.nan, values / STEPS) if values.dtype == np.uint8 else values


def has_data(classes: UInt8) -> Mask:
    """Return where both dates of a change map have data."""
    return classes != IGNORE_INDEX


def is_changed(classes: UInt8) -> Mask:
    """Return where a change map has a class other than "no change"."""
    return (classes != 0) & (classes != IGNORE_INDEX)
