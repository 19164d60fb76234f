"""Open rasters with rasterio: local files in known formats; and images of more than 8 bits or more than four bands."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.errors import CdzooError, InputError, require
from cdzoo.io.files import PathLike
from cdzoo.io.formats import FORMATS, is_tiff, raster_driver, tiff_tags
from cdzoo.io.inputs import existing_file
from cdzoo.io.vrt import vrt_sources

_CACHE_BYTES = 256 << 20  # rasterio passes bytes to GDAL, which interprets numbers below 100,000 as megabytes
_MAX_BANDS = 4096
_MAX_PIXELS = 10**12
_PLACES = (273, 324)  # tags of TIFF: StripOffsets, TileOffsets
_MAX_BLOCK = 1 << 30  # bytes
_MAX_IMAGE = 4 << 30  # bytes of an image that is read at once


@contextmanager
def open_raster(path: PathLike, purpose: str = "reading rasters", depth: int = 0) -> Iterator[Any]:
    """Open a raster file of one of `FORMATS` for reading, as a rasterio dataset.

    Args:
        path: Local file. A `.vrt` may name other local files of `FORMATS`.
        purpose: What the raster is needed for, for the error message about a missing dependency.
        depth: Number of VRT files through which this one was reached.

    Raises:
        InputError: The file does not exist, is damaged or truncated, has another format, or declares more bands or larger blocks
            than can be read.
        MissingDependencyError: rasterio is not installed.
    """
    file = existing_file(path)
    rasterio = require_rasterio(purpose)
    driver = raster_driver(file)
    if driver is None:
        raise InputError(f"{path}: not a raster, or in none of the formats that are read: {', '.join(FORMATS)}; convert it first")
    if driver == "VRT":
        sources = vrt_sources(file, depth)
        if not sources:
            raise InputError(f"{path}: the VRT names no source; rebuild it with gdalbuildvrt")
        for source in sources:
            try:
                with open_raster(source, purpose, depth + 1):
                    pass
            except InputError as error:
                raise InputError(f"{path}: names a source that cannot be read: {error}") from error
    # An absolute path, because rasterio takes `zip:a.tif` for an archive. GDAL takes UTF-8 only.
    name = os.path.abspath(file)
    with warnings.catch_warnings(), reading(path, "damaged or truncated"):
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        source = rasterio.open(name, driver=driver)
    with source:
        with reading(path, "damaged or truncated"):
            _check_header(path, source)
        yield source


@contextmanager
def reading(path: PathLike, problem: str, hint: str = "check that the file is complete") -> Iterator[None]:
    """Convert errors of rasterio and GDAL to `InputError` with the path, the problem and a hint."""
    rasterio = require_rasterio("reading rasters")
    try:
        yield
    except CdzooError:
        raise
    except (rasterio.errors.RasterioError, rasterio._err.CPLE_BaseError, ValueError, MemoryError) as error:
        reason = error.__cause__ or error
        raise InputError(f"{path}: {problem} ({str(reason) or 'out of memory'}); {hint}") from error


def check_declared(path: PathLike, source: Any) -> None:
    """Check the bands, the size and the blocks that an open raster declares, before anything of that size is read.

    Raises:
        InputError: There are more than can be read.
    """
    if not 0 < source.count <= _MAX_BANDS:
        raise InputError(f"{path}: declares {source.count:,} bands; rasters of 1 to {_MAX_BANDS:,} bands are read")
    if len(set(source.dtypes)) > 1 or np.dtype(source.dtypes[0]).kind not in "iuf":
        found = ", ".join(sorted(set(source.dtypes)))
        raise InputError(f"{path}: {found} values; bands of one integer or floating-point type are read, convert them first")
    if source.width * source.height > _MAX_PIXELS:
        raise InputError(f"{path}: declares {source.width:,}x{source.height:,} pixels; cut it into parts")
    rows, columns = source.block_shapes[-1]
    together = source.count if source.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE", "").upper() == "PIXEL" else 1
    size = rows * columns * together * np.dtype(source.dtypes[0]).itemsize
    if size > _MAX_BLOCK:
        raise InputError(
            f"{path}: stored in blocks of {columns:,}x{rows:,} pixels ({size >> 20:,} MB), which must be read at once; convert "
            "it first, for example with gdal_translate -of COG"
        )


def _check_header(path: PathLike, source: Any) -> None:
    check_declared(path, source)
    rows, columns = source.block_shapes[-1]
    for name in source.files[1:]:
        _check_companion(path, Path(name), source.driver)
    expected = 0  # bytes; a file that was cut off by an interrupted copy has fewer
    if source.driver == "GTiff":
        across, down = -(-source.width // columns), -(-source.height // rows)
        ends = [source.get_tag_item(f"BLOCK_{item}_{across - 1}_{down - 1}", "TIFF", source.count) for item in ("OFFSET", "SIZE")]
        if None not in ends:
            expected = int(ends[0]) + int(ends[1])
        elif (tags := tiff_tags(path)) is not None and max(len(tags.get(tag, ())) for tag in _PLACES) < across * down:
            # Unlike a sparse file, which has an empty place for each block.
            raise InputError(f"{path}: damaged: declares {across * down:,} blocks of pixels, and has fewer; copy it again")
    elif source.driver == "ENVI":  # GDAL reads what is missing as zeros
        expected = source.height * source.width * source.count * np.dtype(source.dtypes[0]).itemsize
    if expected > (stored := os.stat(path).st_size):
        raise InputError(f"{path}: truncated: {stored:,} bytes, expected {expected:,} or more; copy it again")


def _check_companion(path: PathLike, other: Path, driver: str) -> None:
    """Check a further file of a raster, such as its mask, overviews or header."""
    beside = os.path.dirname(os.path.abspath(other)) == os.path.dirname(os.path.abspath(path))
    if driver != "VRT" and not (beside and (other.suffix not in (".ovr", ".msk") or is_tiff(other))):
        raise InputError(f"{path}: refers to {other}, which is no mask or overview next to it; remove or rebuild the reference")


def raster_files(path: PathLike) -> list[Path]:
    """Return all files from which a raster is read: itself, and its header, mask, overviews, world file, or sources.

    Raises:
        InputError: The raster cannot be read.
    """
    with open_raster(path) as source:
        files = [Path(path), *(Path(name) for name in source.files)]
        nested = vrt_sources(Path(path), 0) if source.driver == "VRT" else []
    return list(dict.fromkeys([*files, *(file for one in nested for file in raster_files(one))]))


def valid_pixels(source: Any, indexes: Sequence[int], **options: Any) -> npt.NDArray[np.bool_]:
    """Return where the bands of an open raster have data (H, W), according to its nodata value, mask or alpha band.

    A pixel is invalid if one of its bands has no data; if nodata is a color (see `is_color`), if none of them has.

    Args:
        source: Open raster.
        indexes: Bands, from 1.
        **options: Options of `rasterio.DatasetReader.read_masks`, such as `window`.
    """
    masks = source.read_masks(list(indexes), **options) > 0
    alpha = [index for index, meaning in enumerate(source.colorinterp, 1) if meaning.name == "alpha"]
    if alpha and all(flag.name == "all_valid" for flag in source.mask_flag_enums[indexes[0] - 1]):
        # GDAL takes the alpha band of two or four bands for their mask, and not that of other numbers of bands.
        shape = {"out_shape": options["out_shape"][-2:]} if "out_shape" in options else {}
        masks &= source.read(alpha[0], **{**options, **shape}) > 0
    color = is_color(source.dtypes[indexes[0] - 1], source.nodatavals[indexes[0] - 1])
    return np.asarray(masks.any(0) if color else masks.all(0))


def is_color(dtype: str, nodata: float | None) -> bool:
    """Return whether bands of pixels with data may have the nodata value: any of 8 bits, or zero as an integer."""
    kind = np.dtype(dtype)
    return kind == np.uint8 or (kind.kind in "iu" and nodata == 0)


def read_deep(path: str | Path, slices: tuple[slice, slice] | None = None) -> npt.NDArray[Any]:
    """Read an image of any depth and number of bands as (H, W, bands), in the dtype of the file.

    Args:
        path: Path of the file.
        slices: Rows and columns to read, without decoding the rest of the file; the whole image by default.

    Raises:
        InputError: The file is damaged, not an image, or too large to be read at once.
        MissingDependencyError: rasterio is not installed.
    """
    with _image(path) as source, reading(path, "the image is damaged or truncated"):
        _check_size(path, source, slices)
        return np.ascontiguousarray(np.moveaxis(source.read(window=slices), 0, -1))


def read_valid(path: str | Path, slices: tuple[slice, slice] | None = None) -> npt.NDArray[np.bool_]:
    """Return where an image has data (H, W), see `valid_pixels`; NaN and infinite values are no data.

    Raises:
        InputError: The file is damaged, not an image, or too large to be read at once.
        MissingDependencyError: rasterio is not installed.
    """
    with _image(path) as source, reading(path, "the image is damaged or truncated"):
        _check_size(path, source, slices)
        valid = valid_pixels(source, source.indexes, window=slices)
        return valid & np.isfinite(source.read(window=slices)).all(0) if source.dtypes[0].startswith("f") else valid


def size_of_deep(path: str | Path) -> tuple[int, int, int, str]:
    """Return (height, width, bands, dtype) from the header."""
    with _image(path) as source:
        return source.height, source.width, source.count, source.dtypes[0]


def _image(path: PathLike) -> Any:
    return open_raster(path, f"{path}: reading images of more than 8 bits or four bands")


def _check_size(path: PathLike, source: Any, slices: tuple[slice, slice] | None) -> None:
    rows, columns = slices or (slice(0, source.height), slice(0, source.width))
    pixels = (rows.stop - rows.start) * (columns.stop - columns.start)
    if (size := pixels * source.count * np.dtype(source.dtypes[0]).itemsize) > _MAX_IMAGE:
        raise InputError(
            f"{path}: {source.width:,}x{source.height:,} pixels of {source.count} band(s) are {size >> 30:,} GB, too large to be "
            f"read at once; cut it into tiles, or map it as a scene: cdzoo predict BEFORE AFTER -o MAP.tif"
        )


def require_rasterio(purpose: str) -> Any:
    """Import rasterio with its submodules.

    Raises:
        MissingDependencyError: rasterio is not installed.
    """
    for module in ("errors", "shutil", "transform", "vrt", "warp", "windows"):
        require(f"rasterio.{module}", "geo", purpose)
    return require("rasterio", "geo", purpose)


def keep_environment() -> None:
    """Give this thread an environment of GDAL for good, before files are opened that stay open.

    rasterio ends the environment with the file that was opened first, also for whatever is in use then.
    """
    environments = require_rasterio("reading rasters").env
    if not environments.hasenv():
        environments.defenv()


@contextmanager
def limited_cache(threads: int | str = "ALL_CPUS") -> Iterator[None]:
    """Limit the block cache of GDAL, which by default grows to 5% of the memory; leave out notes on rasters without a place.

    Args:
        threads: Number of threads of GDAL; 1 in processes that are forked, as its threads are not.
    """
    rasterio = require_rasterio("reading scenes")
    with rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES, GDAL_NUM_THREADS=threads), warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield
