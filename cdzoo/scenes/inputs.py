"""Files that a raster consists of, and their hashes."""

from __future__ import annotations

import functools
import os
import warnings
from pathlib import Path

from cdzoo.io.files import file_sha256
from cdzoo.io.rasters import require_rasterio

_VIRTUAL = "/vsi"  # prefix of GDAL's names for files in archives and on servers


def input_files(path: str | Path) -> list[Path]:
    """Return the files that GDAL reads for a raster.

    These are the raster, its masks, headers and world files, and those of the sources of a virtual raster.
    """
    rasterio = require_rasterio("predicting scenes")
    found: dict[str, None] = {}
    waiting = [os.fspath(path)]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with rasterio.open(name) as file:
                    waiting += file.files
        except (rasterio.errors.RasterioError, OSError, ValueError):  # a header or world file; what is no raster is refused later
            continue
    return sorted({file for name in found if (file := _stored(name)) is not None})


def input_hashes(path: str | Path) -> list[tuple[str, str]]:
    """Return the name and the sha256 of the files of a raster, see `input_files`."""
    return [(file.name, _sha256(file, *_state(file))) for file in input_files(path)]


def _stored(name: str) -> Path | None:
    """Return the file behind a name, or the archive that it is in; None if there is none."""
    if name.startswith(_VIRTUAL):
        name = "/" + name.split("/", 2)[-1].lstrip("/")
    return next((file for file in (Path(name), *Path(name).parents) if os.path.isfile(file)), None)


def _state(file: Path) -> tuple[int, ...]:
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@functools.lru_cache(4096)
def _sha256(file: Path, *_state: int) -> str:
    """Return the sha256 of a file, computed once for all scenes of a list that have it."""
    return file_sha256(file)
