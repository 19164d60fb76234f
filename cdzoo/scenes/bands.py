"""Which bands of a raster are read, and which one marks the pixels with data."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cdzoo.errors import InputError
from cdzoo.io.alpha import alpha_bands
from cdzoo.io.band_names import band_indexes


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
