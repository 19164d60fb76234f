"""Which bands of a raster are read, and which one marks the pixels with data."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cdzoo.errors import InputError
from cdzoo.io.band_names import band_indexes
from cdzoo.io.rasters import reading, require_rasterio


def alpha_bands(file: Any) -> list[int]:
    """Return the bands of an open raster that it calls alpha, from 1."""
    return [index for index, meaning in enumerate(file.colorinterp, 1) if meaning.name == "alpha"]


def selected_bands(path: str | Path, file: Any, bands: Sequence[int | str] | None, alpha: bool | None) -> list[int]:
    """Return the bands of an open raster to read, from 1; see `RasterSource`."""
    marks = alpha_bands(file)
    indexes = None if bands is None else band_indexes(path, file.descriptions, bands)
    if indexes is not None:
        if alpha and set(indexes) & set(marks):
            raise InputError(f"{path}: band {marks[0]} is alpha, and cannot be read as a band as well")
        marks = [] if set(indexes) & set(marks) else marks
    if marks and alpha is None:
        warnings.warn(
            f"{path}: band {marks[0]} is taken as alpha, as the file says: pixels where it is 0 have no data; pass --alpha false "
            "if it is a band like others, such as near infrared",
            stacklevel=4,
        )
    if indexes is not None:
        return list(indexes)
    return [index for index in range(1, file.count + 1) if alpha is False or index not in marks]


def without_alpha(path: str | Path, file: Any) -> Any:
    """Return a raster in which no band is alpha."""
    rasterio = require_rasterio("predicting scenes")
    with TemporaryDirectory(prefix="cdzoo_") as folder, reading(path, "its bands cannot be read"):
        plain = Path(folder) / "plain.vrt"
        rasterio.shutil.copy(file, plain, driver="VRT")
        plain.write_text(plain.read_text().replace("<ColorInterp>Alpha</ColorInterp>", ""))
        return rasterio.open(plain)
