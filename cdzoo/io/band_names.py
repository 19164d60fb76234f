"""Names of bands, as files state them for their bands or have them in their own names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from cdzoo.errors import InputError
from cdzoo.names import natural_key

Band = Annotated[int, Field(ge=1, le=65_535)]
"""Number of a band in settings."""
_SENTINEL = re.compile(r"(?:^|[_.-])(B(?:0[1-9]|1[0-2]|8A))(?=$|[_.-])", re.IGNORECASE)
"""Name of a band of Sentinel-2 in that of a file, such as T31UDQ_20200101T105441_B04_10m.jp2."""
_NUMBERED = re.compile(r"(?:.*[_-])?(B\d{1,2}A?)", re.IGNORECASE)
"""Name of a file that ends in a band, such as LC08_196030_20200101_SR_B4.tif."""


def is_sentinel_band(name: str) -> bool:
    """Return whether a name is that of a band of Sentinel-2, such as B04 or B8A."""
    return (match := _SENTINEL.fullmatch(name)) is not None and match[1] == name


def names_of_files(files: Iterable[Path]) -> dict[Path, str]:
    """Return the band of each file that has one in its name, in the order of the bands: B1, B2, ..., B8, B8A, B9, ...

    If names of Sentinel-2 occur, files without one have no band.
    """
    files = list(files)
    matches = {file: match for file in files if (match := _SENTINEL.search(file.stem))}
    matches = matches or {file: match for file in files if (match := _NUMBERED.fullmatch(file.stem))}
    names = {file: match[1].upper() for file, match in matches.items()}
    return dict(sorted(names.items(), key=lambda item: natural_key(item[1])))


def band_indexes(path: str | Path, names: Sequence[str | None], wanted: Sequence[int | str]) -> list[int]:
    """Return bands by number or name, counted from 1.

    Args:
        path: The image, for messages.
        names: Name of each of its bands; None or empty for those without one.
        wanted: Numbers and names. One text may hold several names, separated by commas or spaces.

    Raises:
        InputError: There is no such band, or several have the name.
    """
    indexes = [index for band in wanted for index in ([band] if isinstance(band, int) else _named(path, names, band))]
    if wrong := [index for index in indexes if not 1 <= index <= len(names)]:
        raise InputError(f"{path}: no band {wrong[0]}; the image has the bands 1 to {len(names)}")
    return indexes


def _named(path: str | Path, names: Sequence[str | None], text: str) -> list[int]:
    keys = [_key(name or "") for name in names]
    words = text.replace(",", " ").split()
    wanted = words if all(_key(word) in keys for word in words) else [text]
    for one in wanted:
        if keys.count(_key(one)) != 1:
            shown = ", ".join(name for name in names if name) or "no band has one"
            several = "several bands have" if _key(one) in keys else "no band has"
            raise InputError(
                f"{path}: {several} the name {one} (names in the file: {shown}); select by number, 1 to {len(names)}"
            )
    return [keys.index(_key(one)) + 1 for one in wanted]


def _key(name: str) -> str:
    """Return a name of a band without case, what follows the first word, and the zero of B04."""
    return re.sub(r"^b0(?=\d)", "b", re.split(r"[\s,(:]", name.strip().casefold())[0])


def band_count(wanted: Sequence[int | str]) -> int:
    """Return the number of bands that numbers and names select, if no name has a space in it."""
    return sum(1 if isinstance(band, int) else len(band.replace(",", " ").split()) for band in wanted)


def are_trained_bands(names: Sequence[str | None], trained: Sequence[int | str], count: int) -> bool:
    """Return whether an image is read with the bands that a model was trained on: it has them, or another number of bands.

    Args:
        names: Name of each band of the image.
        trained: Bands by number or name.
        count: Number of bands of the model.
    """
    try:
        band_indexes("", names, trained)
    except InputError:
        return len(names) != count
    return True
