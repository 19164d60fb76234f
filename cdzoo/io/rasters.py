"""Read images of more than 8 bits or more than four bands with rasterio."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.errors import InputError, require

_CACHE_BYTES = 256 << 20  # rasterio passes bytes to GDAL, which interprets numbers below 100,000 as megabytes


def is_tiff(path: Path) -> bool:
    """Return whether a file starts with the signature of a TIFF or BigTIFF."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    except OSError:
        return False


def read_deep(path: str | Path, slices: tuple[slice, slice] | None = None) -> npt.NDArray[Any]:
    """Read an image of any depth and number of bands as (H, W, bands), in the dtype of the file.

    Args:
        path: Path of the file.
        slices: Rows and columns to read, without decoding the rest of the file; the whole image by default.

    Raises:
        InputError: The file is damaged or not an image.
        MissingDependencyError: rasterio is not installed.
    """
    with _opened(path) as source:
        return np.ascontiguousarray(np.moveaxis(source.read(window=slices), 0, -1))


def size_of_deep(path: str | Path) -> tuple[int, int, int, str]:
    """Return (height, width, bands, dtype) from the header."""
    with _opened(path) as source:
        return source.height, source.width, source.count, source.dtypes[0]


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    rasterio = require_rasterio(f"{path}: reading images of more than 8 bits or four bands")
    try:
        with warnings.catch_warnings():  # tiles of data sets rarely have georeferencing
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            source = rasterio.open(path)
        with source:
            yield source
    except rasterio.errors.RasterioError as error:
        raise InputError(f"{path}: the image is damaged or truncated, or not an image ({error})") from error


def require_rasterio(purpose: str) -> Any:
    """Import rasterio with its submodules.

    Raises:
        MissingDependencyError: rasterio is not installed.
    """
    for module in ("errors", "shutil", "transform", "vrt", "warp", "windows"):
        require(f"rasterio.{module}", "geo", purpose)
    return require("rasterio", "geo", purpose)


def limited_cache() -> Any:
    """Return a context that limits the block cache of GDAL, which by default grows to 5% of the memory."""
    return require_rasterio("reading scenes").Env(GDAL_CACHEMAX=_CACHE_BYTES, GDAL_NUM_THREADS="ALL_CPUS")
