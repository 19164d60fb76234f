"""Files that a raster consists of, and their hashes."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from cdzoo.errors import InputError
from cdzoo.io.files import PathLike, file_sha256
from cdzoo.io.rasters import raster_files


def input_files(path: PathLike) -> list[Path]:
    """Return the absolute paths of the files of a raster, see `raster_files`; of one that cannot be read, its own."""
    try:
        files = raster_files(path)
    except InputError:
        files = [Path(path)]
    return sorted({Path(os.path.abspath(file)) for file in files})


def input_hashes(path: PathLike) -> list[tuple[str, str]]:
    """Return the name and the sha256 of the files of a raster."""
    return [(file.name, _sha256(file, *_state(file))) for file in input_files(path)]


def input_hash(path: PathLike) -> str:
    """Return the sha256 of a file that is no raster."""
    file = Path(os.path.abspath(path))
    return _sha256(file, *_state(file))


def _state(file: Path) -> tuple[int, ...]:
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@functools.lru_cache(4096)
def _sha256(file: Path, *_state: int) -> str:
    """Return the sha256 of a file, computed once for all scenes of a list that have it."""
    return file_sha256(file)
