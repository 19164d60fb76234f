"""Files that a raster consists of, and their hashes."""

from __future__ import annotations

import functools
import hashlib
import os
import xml.etree.ElementTree as ElementTree
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
    """Return the name and the sha256 of the files of a raster.

    Statistics in a file `.aux.xml`, which QGIS adds when it shows a raster, do not count.
    """
    hashes = [(file.name, _sha256(file, *_state(file))) for file in input_files(path)]
    return [(name, digest) for name, digest in hashes if digest]


def input_hash(path: PathLike) -> str:
    """Return the sha256 of a file that is no raster."""
    file = Path(os.path.abspath(path))
    return _sha256(file, *_state(file))


def _state(file: Path) -> tuple[int, ...]:
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@functools.lru_cache(4096)
def _sha256(file: Path, *_state: int) -> str:
    """Return the sha256 of a file, computed once for all scenes of a list that have it; empty if it has statistics only."""
    if not file.name.endswith(".aux.xml"):
        return file_sha256(file)
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, ValueError, LookupError):  # not XML, or in an unknown encoding
        return file_sha256(file)
    _remove_statistics(root)
    text = ElementTree.canonicalize(ElementTree.tostring(root, encoding="unicode"), strip_text=True)
    return hashlib.sha256(text.encode()).hexdigest() if len(root) else ""


def _remove_statistics(element: ElementTree.Element) -> None:
    for child in list(element):
        _remove_statistics(child)
        is_statistic = child.tag == "Histograms" or child.get("key", "").startswith("STATISTICS_")
        if is_statistic or (child.tag in ("PAMRasterBand", "Metadata") and not len(child)):
            element.remove(child)
