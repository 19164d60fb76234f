"""Write maps as Cloud Optimized GeoTIFFs, block by block."""

from __future__ import annotations

import errno
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from cdzoo.constants import IGNORE_INDEX
from cdzoo.errors import printable
from cdzoo.inference.blocks import Float32
from cdzoo.inference.sources import Array, Mask
from cdzoo.io.files import replace_atomically
from cdzoo.io.georeference import Grid
from cdzoo.io.images import UInt8
from cdzoo.tasks import MapSpec, Task
from cdzoo.tiling import Window

STEPS = 200
"""Value of probability 1 in maps of type uint8; nodata is `IGNORE_INDEX`."""
Blocks = Callable[[], Iterable[tuple[Window, Array]]]
"""Function that returns the location and values (..., height, width) of blocks that cover a map."""
_NO_UNIT = "1"  # of quantities without a dimension
_BLOCK = 512  # side of an internal block of the file in pixels


def write_cog(
    path: Path,
    folder: Path,
    grid: Grid,
    dtype: str,
    blocks: Blocks,
    tags: Mapping[str, str],
    bands: Sequence[str] = (),
    legend: MapSpec | None = None,
    scale: float | None = None,
) -> None:
    """Write a Cloud Optimized GeoTIFF, and compare what was written with the blocks.

    A pixel of an overview has the maximum of the pixels that it covers, so that small changes stay visible; in a map with a
    legend, their most frequent value other than 0.

    Args:
        path: Output file.
        folder: Folder for temporary files.
        grid: Size and location of the map.
        dtype: Type of the values. Nodata is NaN for floating-point types, otherwise `IGNORE_INDEX`.
        blocks: Values.
        tags: Metadata of the file.
        bands: Name of each band; empty for one band without a name.
        legend: Names and colors of the values, stored as a color table, as tags `class_VALUE` of the band, and as category names,
            which GDAL keeps in a file `.aux.xml`.
        scale: Value of a step of a map of probabilities, which QGIS and GDAL then show as probabilities; None for other maps.

    Raises:
        OSError: The file has other values than the blocks, as on a full disk.
    """
    import rasterio
    import rasterio.shutil

    nodata = float("nan") if dtype.startswith("float") else IGNORE_INDEX
    profile: dict[str, Any] = {"driver": "GTiff", "count": max(1, len(bands)), "dtype": dtype, "nodata": nodata}
    profile |= {"compress": "deflate", "BIGTIFF": "IF_SAFER", "tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK}
    with TemporaryDirectory(prefix="map_", dir=folder) as temporary:
        plain = Path(temporary) / "plain.tif"
        size = {"height": grid.height, "width": grid.width, "crs": grid.crs, "transform": grid.transform}
        with rasterio.open(plain, "w", **profile, **size) as file:
            file.update_tags(**tags)
            for index, name in enumerate(bands, 1):
                file.set_band_description(index, printable(name))
            if scale is not None:
                file.scales, file.offsets, file.units = ([value] * file.count for value in (scale, 0.0, _NO_UNIT))
            if legend is not None:
                file.update_tags(1, **{f"class_{value}": printable(name) for value, name in enumerate(legend.class_names)})
                file.write_colormap(1, dict(enumerate(legend.colors)))
            for window, values in blocks():
                file.write(_as_bands(values), window=window.slices)
        if legend is not None:
            _write_categories(companion(plain), legend.class_names)
        _write_overviews(plain, profile, block_maximum if legend is None else block_class)
        options = {"COMPRESS": "DEFLATE", "BLOCKSIZE": str(_BLOCK), "BIGTIFF": "IF_SAFER", "PREDICTOR": "NO"}
        rasterio.shutil.copy(plain, path, driver="COG", **options)
    with rasterio.open(path) as file:
        complete = all(
            np.array_equal(file.read(window=at.slices), _as_bands(values), equal_nan=dtype.startswith("float"))
            for at, values in blocks()
        )
        for level in range(len(file.overviews(1))):
            with rasterio.open(path, overview_level=level) as overview:
                for _, window in overview.block_windows(1):
                    overview.read(window=window)
    if not complete:
        raise OSError("the file is incomplete")


def companion(path: Path) -> Path:
    """Return the file next to a raster in which GDAL stores category names, and systems that a GeoTIFF cannot have."""
    return path.with_name(f"{path.name}.aux.xml")


@contextmanager
def replace_raster(path: Path) -> Iterator[Path]:
    """Replace a raster as `replace_atomically` does, and its `companion`."""
    with replace_atomically(path) as temporary:
        try:
            yield temporary
            with suppress(OSError):  # the name may be too long
                companion(path).unlink()  # of an earlier map
            if companion(temporary).exists():
                _move_companion(companion(temporary), companion(path))
        finally:
            companion(temporary).unlink(missing_ok=True)


def _move_companion(file: Path, target: Path) -> None:
    """Rename a companion; one of a name that is too long is left out unless it says where the pixels are."""
    try:
        file.replace(target)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG or b"<SRS" in file.read_bytes():
            raise


def _as_bands(values: Array) -> Array:
    return values if values.ndim == 3 else values[None]


def _write_categories(path: Path, names: Sequence[str]) -> None:
    """Add the names of the values of the first band to the file in which GDAL looks for them."""
    root = ElementTree.parse(path).getroot() if path.exists() else ElementTree.Element("PAMDataset")
    band = root.find("PAMRasterBand[@band='1']")
    if band is None:
        band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    categories = ElementTree.SubElement(band, "CategoryNames")
    for name in names:
        ElementTree.SubElement(categories, "Category").text = printable(name)
    ElementTree.ElementTree(root).write(path, encoding="utf-8")


def _write_overviews(path: Path, profile: Mapping[str, Any], reduce: Callable[[Array, int], Array]) -> None:
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
                        values = [reduce(band, 2) for band in finer.read(window=window.slices)]
                        coarser.write(np.stack(values), window=at)


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


def block_class(values: Array, factor: int) -> Array:
    """Return the most frequent changed class of each block of `factor` x `factor` pixels, the lowest one of equals.

    Blocks without change are 0; those without data are `IGNORE_INDEX`.

    Args:
        values: Map (height, width) of type uint8; the last blocks may be smaller.
        factor: Side of a block.
    """
    padded = np.pad(values, [(0, -side % factor) for side in values.shape], constant_values=IGNORE_INDEX)
    height, width = (side // factor for side in padded.shape)
    blocks = padded.reshape(height, factor, width, factor)
    found = np.where((blocks == IGNORE_INDEX).all((1, 3)), IGNORE_INDEX, 0).astype(np.uint8)
    most = np.zeros((height, width), np.int64)
    for value in np.unique(values[is_changed(values)]):
        count = (blocks == value).sum((1, 3))
        found[count > most] = value
        most = np.maximum(count, most)
    return found


def encode_mask(classes: UInt8, valid: Mask) -> UInt8:
    """Return the values of a map, with `IGNORE_INDEX` where a date has no data."""
    return np.where(valid, classes, IGNORE_INDEX).astype(np.uint8)


def encode_probability(probability: Float32, valid: Mask, dtype: str) -> Array:
    """Return the values of probabilities (..., height, width) as type `uint8` or `float32`; see `STEPS`."""
    if dtype == "uint8":
        return np.where(valid, (probability * STEPS).round(), IGNORE_INDEX).astype(np.uint8)
    return np.where(valid, probability, np.nan).astype(np.float32)


def decode_probability(values: Array) -> Array:
    """Convert the values of a probability map to probabilities, with NaN for nodata."""
    return np.where(values == IGNORE_INDEX, np.nan, values / STEPS) if values.dtype == np.uint8 else values


def read_change_probability(file: Any, task: Task, window: Any) -> Array:
    """Return the probability of change (height, width) in a window of an open probability map, with NaN for nodata."""
    values = decode_probability(file.read(window=window))
    return task.change_probability(values if task.probability_names else values[0])


def is_changed(classes: UInt8) -> Mask:
    """Return where a change map has a class other than "no change"."""
    return (classes != 0) & (classes != IGNORE_INDEX)
