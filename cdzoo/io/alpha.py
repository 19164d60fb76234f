"""Bands that a file calls alpha: they mark the pixels with data, or are bands like others, such as near infrared."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cdzoo.io.rasters import reading, require_rasterio


def alpha_bands(file: Any) -> list[int]:
    """Return the bands of an open raster that it calls alpha, from 1."""
    return [index for index, meaning in enumerate(file.colorinterp, 1) if meaning.name == "alpha"]


def without_alpha(path: str | Path, file: Any) -> Any:
    """Return a raster in which no band is alpha."""
    rasterio = require_rasterio("predicting scenes")
    with TemporaryDirectory(prefix="cdzoo_") as folder, reading(path, "its bands cannot be read"):
        plain = Path(folder) / "plain.vrt"
        rasterio.shutil.copy(file, plain, driver="VRT")
        plain.write_text(plain.read_text().replace("<ColorInterp>Alpha</ColorInterp>", ""))
        return rasterio.open(plain)
