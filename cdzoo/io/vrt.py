"""Sources of VRT files: XML that describes a raster made of other files."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

from cdzoo.errors import InputError
from cdzoo.io.inputs import existing_file

_MAX_BYTES = 64 << 20
_MAX_DEPTH = 4
_TAGS = ("SourceFilename", "SourceDataset", "DEMPath")
_KEYS = ("X_DATASET", "Y_DATASET", "OVERVIEW_FILE")


def vrt_sources(file: Path, depth: int) -> list[Path]:
    """Return the files that a VRT names, each once, in order. They are not opened.

    Args:
        file: VRT file.
        depth: Number of VRT files through which this one was reached.

    Raises:
        InputError: The file is no XML or too large, VRT files are nested too deep, or a name is not that of a local file.
    """
    if depth >= _MAX_DEPTH:
        raise InputError(f"{file}: VRT files are nested more than {_MAX_DEPTH} deep; convert it first: gdal_translate -of COG")
    if file.stat().st_size > _MAX_BYTES:
        raise InputError(f"{file}: a VRT of more than {_MAX_BYTES >> 20} MB; convert it first: gdal_translate -of COG")
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{file}: the VRT is damaged ({error})") from error
    if root.tag != "VRTDataset":
        raise InputError(f"{file}: a VRT starts with VRTDataset, found {root.tag}")
    sources: dict[Path, None] = {}
    for element in root.iter():
        if element.tag in _TAGS or element.get("key") in _KEYS:
            name = (element.text or "").strip()
            base = os.path.dirname(os.path.abspath(file)) if element.get("relativeToVRT") == "1" else ""
            try:
                sources[existing_file(os.path.join(base, name))] = None
            except InputError as error:
                raise InputError(f"{file}: names a source that cannot be read: {error}") from error
    return list(sources)
