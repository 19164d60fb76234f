"""Formats of rasters, told by the first bytes of their files; and the tags of TIFFs."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from cdzoo.io.files import PathLike

_SIGNATURES = {
    "GTiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "PNG": (b"\x89PNG",),
    "JPEG": (b"\xff\xd8\xff",),
    "JP2OpenJPEG": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "WEBP": (b"RIFF",),
    "BMP": (b"BM",),
    "GIF": (b"GIF8",),
    "HFA": (b"EHFA_HEADER_TAG",),
    "NITF": (b"NITF", b"NSIF"),
}
"""GDAL drivers of the formats that are read, by the first bytes of their files. GDAL would also take files that name others, and
addresses, whatever their suffix."""
FORMATS = (*_SIGNATURES, "ENVI", "VRT (suffix .vrt)")
"""Formats that are read."""
SIGNATURE_BYTES = 16
"""Number of bytes at the start of a file that `signed_driver` needs."""


def signed_driver(start: bytes) -> str | None:
    """Return the GDAL driver of a raster by the first bytes of its file; None if they are not those of a known format."""
    return next((driver for driver, signatures in _SIGNATURES.items() if start.startswith(signatures)), None)


def raster_driver(path: Path) -> str | None:
    """Return the GDAL driver of a raster file, from its content; None if it has none of `FORMATS`."""
    try:
        with path.open("rb") as file:
            start = file.read(SIGNATURE_BYTES)
        if driver := signed_driver(start):
            return driver
        if path.suffix.lower() == ".vrt" and start.lstrip().startswith(b"<"):
            return "VRT"
        headers = (path.with_suffix(".hdr"), path.with_name(path.name + ".hdr"))
        return "ENVI" if any(header.is_file() and header.read_bytes()[:4] == b"ENVI" for header in headers) else None
    except OSError:
        return None


def is_tiff(path: Path) -> bool:
    """Return whether a file starts with the signature of a TIFF or BigTIFF."""
    return raster_driver(path) == "GTiff"


def has_tags(path: Path, tags: Collection[int]) -> bool:
    """Return whether a file is a TIFF that has one of these tags, or that Pillow cannot read, without opening it as a raster."""
    found = tiff_tags(path) if is_tiff(path) else {}
    return found is None or any(tag in found for tag in tags)


def tiff_tags(path: PathLike) -> Mapping[int, Any] | None:
    """Return the tags of the first image of a TIFF, whatever they declare; None if Pillow cannot read them."""
    try:
        with warnings.catch_warnings(), open(path, "rb") as file:
            warnings.simplefilter("ignore")
            start = file.read(16)
            tags = ImageFileDirectory_v2(start if 43 in start[2:4] else start[:8])  # 43: BigTIFF
            file.seek(tags.next)
            tags.load(file)
            return dict(tags)
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error):
        return None
