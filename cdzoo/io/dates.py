"""Acquisition dates of images: from the tags of a file, or from its name."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdzoo.io.files import PathLike
from cdzoo.io.rasters import open_raster

_DAY = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_.:/]?)(\d\d)\2(\d\d)(?=\D|$|(?:\d{4}|\d{6})(?:\D|$))")
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)")
_ACQUISITION = ("ACQUISITIONDATETIME", "ACQUISITIONDATE", "DATEACQUIRED", "EXIFDATETIMEORIGINAL")
"""Names of tags in capitals without underscores: of GDAL's domain IMAGERY and of common writers, of Landsat, and of cameras."""
_WRITTEN = "TIFFTAG_DATETIME"


@dataclass(frozen=True)
class ImageDate:
    """Date of an image.

    Attributes:
        text: `YYYY-MM-DD`, or `YYYY` if only the year is known.
        source: Where it is stated, as text.
    """

    text: str
    source: str

    def is_after(self, other: ImageDate) -> bool:
        """Return whether this date is later than another one, as far as both are known."""
        length = min(len(self.text), len(other.text))
        return self.text[:length] > other.text[:length]


def image_date(path: PathLike) -> ImageDate | None:
    """Return the date of a raster file; None if it is not known.

    A tag of acquisition comes first, then a day or year in the file name, then `TIFFTAG_DATETIME`, which some programs set to the
    time of processing.

    Raises:
        InputError: The file cannot be read.
    """
    with open_raster(path) as file:
        tags: Mapping[str, Any] = {**file.tags(), **file.tags(ns="IMAGERY")}
    plain = {name.upper().replace("_", ""): (name, str(value)) for name, value in tags.items()}
    for name, value in (plain[name] for name in _ACQUISITION if name in plain):
        if day := _day(value):
            return ImageDate(day, f"tag {name}")
    stem = Path(path).stem
    if found := _day(stem) or _year(stem):
        return ImageDate(found, "file name")
    if day := _day(str(tags.get(_WRITTEN, ""))):
        return ImageDate(day, f"tag {_WRITTEN}, which may be the date of processing")
    return None


def _day(text: str) -> str | None:
    """Return the first valid day in a text that is not in the future."""
    for year, _, month, day in _DAY.findall(text):
        try:
            found = datetime.date(int(year), int(month), int(day))
        except ValueError:
            continue
        if found <= datetime.date.today():
            return found.isoformat()
    return None


def _year(text: str) -> str | None:
    return next((year for year in _YEAR.findall(text) if int(year) <= datetime.date.today().year), None)
