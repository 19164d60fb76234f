"""Images that Pillow cannot read in full: more than 8 bits, or more than four bands. Through rasterio."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.errors import InputError, require

_CACHE_BYTES = 256 << 20  # rasterio passes bytes; GDAL itself would read a number below 100,000 as megabytes


def is_tiff(path: Path) -> bool:
    """Tell by its first bytes whether a file is a TIFF, classic or big."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    except OSError:
        return False


def read_deep(path: Path) -> npt.NDArray[Any]:
    """Read an image of any depth and number of bands as (H, W, bands), in the type of the file.

    Raises:
        InputError: The file is damaged, or no image.
        MissingDependencyError: rasterio is not installed.
    """
    with _opened(path) as source:
        try:
            return np.ascontiguousarray(np.moveaxis(source.read(), 0, -1))
        except require_rasterio("reading rasters").errors.RasterioError as error:
            raise InputError(f"{path}: the image is damaged or truncated ({error})") from error


def read_window(path: Path, y: int, x: int, height: int, width: int) -> npt.NDArray[Any]:
    """Read a part of an image as (height, width, bands), and no more of the file than that needs.

    Raises:
        InputError: The file is damaged, or no image.
        MissingDependencyError: rasterio is not installed.
    """
    with _opened(path) as source:
        try:
            return np.ascontiguousarray(np.moveaxis(source.read(window=((y, y + height), (x, x + width))), 0, -1))
        except require_rasterio("reading rasters").errors.RasterioError as error:
            raise InputError(f"{path}: the image is damaged or truncated ({error})") from error


def size_of_deep(path: Path) -> tuple[int, int, int, str]:
    """Return (height, width, bands, type) from the header."""
    with _opened(path) as source:
        return source.height, source.width, source.count, source.dtypes[0]


def _opened(path: Path) -> Any:
    rasterio = require_rasterio(f"{path}: reading images of more than 8 bits or four bands")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)  # tiles of data sets seldom are
        try:
            return rasterio.open(path)
        except rasterio.errors.RasterioError as error:
            raise InputError(f"{path}: no image that can be read, or a damaged one ({error})") from error


def require_rasterio(purpose: str) -> Any:
    """Import rasterio with its submodules.

    Raises:
        MissingDependencyError: rasterio is not installed.
    """
    for module in ("errors", "shutil", "transform", "vrt", "warp", "windows"):
        require(f"rasterio.{module}", "geo", purpose)
    return require("rasterio", "geo", purpose)


def limited_cache() -> Any:
    """Return a context that limits GDAL's block cache; by default it grows to 5 % of the memory of the machine."""
    return require_rasterio("reading scenes").Env(GDAL_CACHEMAX=_CACHE_BYTES, GDAL_NUM_THREADS="ALL_CPUS")
