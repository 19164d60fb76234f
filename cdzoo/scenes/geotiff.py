"""Write maps as Cloud Optimized GeoTIFFs, block by block."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
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
Blocks = Callable[[], Iterable[tuple[Window, Array]]]
"""Function that returns the location and values (height, width) of blocks that cover a map."""
_BLOCK = 512  # side of an internal block of the file in pixels


def write_cog(path: Path, folder: Path, grid: Grid, dtype: str, blocks: Blocks, tags: Mapping[str, str]) -> None:
    """Write one band as a Cloud Optimized GeoTIFF, and compare what was written with the blocks.

    A pixel of an overview has the maximum of the pixels that it covers, so that small changes stay visible.

    Args:
        path: Output file.
        folder: Folder for temporary files.
        grid: Size and location of the map.
        dtype: Type of the values. Nodata is NaN for floating-point types, otherwise `IGNORE_INDEX`.
        blocks: Values.
        tags: Metadata of the file.

    Raises:
        OSError: The file has other values than the blocks, as on a full disk.
    """
    import rasterio
    import rasterio.shutil

    nodata = float("nan") if dtype.startswith("float") else IGNORE_INDEX
    profile: dict[str, Any] = {"driver": "GTiff", "count": 1, "dtype": dtype, "nodata": nodata, "compress": "deflate"}
    profile |= {"BIGTIFF": "IF_SAFER", "tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK}
    with TemporaryDirectory(prefix="map_", dir=folder) as temporary:
        plain = Path(temporary) / "plain.tif"
        size = {"height": grid.height, "width": grid.width, "crs": grid.crs, "transform": grid.transform}
        with rasterio.open(plain, "w", **profile, **size) as file:
            file.update_tags(**tags)
            for window, values in blocks():
                file.write(values, 1, window=window.slices)
        _write_overviews(plain, profile)
        options = {"COMPRESS": "DEFLATE", "BLOCKSIZE": str(_BLOCK), "BIGTIFF": "IF_SAFER", "PREDICTOR": "NO"}
        rasterio.shutil.copy(plain, path, driver="COG", **options)
    with rasterio.open(path) as file:
        complete = all(np.array_equal(file.read(1, window=at.slices), values, equal_nan=True) for at, values in blocks())
        for level in range(len(file.overviews(1))):
            with rasterio.open(path, overview_level=level) as overview:
                for _, window in overview.block_windows(1):
                    overview.read(1, window=window)
    if not complete:
        raise OSError("the file is incomplete")


@contextmanager
def replace_raster(path: Path) -> Iterator[Path]:
    """Replace a raster as `replace_atomically` does, and its `.aux.xml`, where GDAL stores systems that a GeoTIFF cannot have."""

    def companion(file: Path) -> Path:
        return file.with_name(f"{file.name}.aux.xml")

    with replace_atomically(path) as temporary:
        try:
            yield temporary
            with suppress(OSError):  # the name may be too long
                companion(path).unlink()  # of an earlier map
            if companion(temporary).exists():
                companion(temporary).replace(companion(path))
        finally:
            companion(temporary).unlink(missing_ok=True)


def _write_overviews(path: Path, profile: Mapping[str, Any]) -> None:
    """Write the levels that COG has, each as the external overview of the one before, as GDAL reads them."""
    import rasterio

    with warnings.catch_warnings():  # overviews have no location of their own
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        while True:
            with rasterio.open(path) as finer:
                if max(finer.shape) <= _BLOCK:
                    return
                path = path.with_name(f"{path.name}.ovr")
                height, width = (-(-side // 2) for side in finer.shape)
                with rasterio.open(path, "w", **profile, height=height, width=width) as coarser:
                    for _, at in coarser.block_windows(1):
                        window = Window(2 * at.row_off, 2 * at.col_off, 2 * at.height, 2 * at.width)
                        coarser.write(block_maximum(finer.read(1, window=window.slices), 2), 1, window=at)


def block_maximum(values: Array, factor: int) -> Array:
    """Return the maximum of each block of `factor` x `factor` pixels; nodata where all of them are.

    Args:
        values: Map (height, width), see `write_cog`; the last blocks may be smaller.
        factor: Side of a block.
    """
    nodata = np.nan if values.dtype.kind == "f" else IGNORE_INDEX
    lowest = -1  # of all values
    known = np.where(np.isnan(values) if values.dtype.kind == "f" else values == nodata, lowest, values.astype(np.float32))
    padded = np.pad(known, [(0, -side % factor) for side in values.shape], constant_values=lowest)
    height, width = (side // factor for side in padded.shape)
    found = padded.reshape(height, factor, width, factor).max((1, 3))
    return np.where(found == lowest, nodata, found).astype(values.dtype)


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
