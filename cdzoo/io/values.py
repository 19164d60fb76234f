"""What the numbers stored in images mean: their type, and the scale and offset that files state for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cdzoo.errors import MissingDependencyError
from cdzoo.io.files import PathLike
from cdzoo.io.formats import has_tags
from cdzoo.io.images import image_format
from cdzoo.io.rasters import open_raster, reading

_METADATA = 42112  # tag of TIFF in which GDAL stores scale and offset


def stored_values(source: Any, indexes: Sequence[int]) -> str:
    """Describe the depth of the values of an open raster, and the scales and offsets that it states; equal if they mean the same.

    Args:
        source: Open raster.
        indexes: Bands, from 1.
    """
    stated = sorted({(source.scales[index - 1], source.offsets[index - 1]) for index in indexes} - {(1.0, 0.0)})
    tags = ", ".join(f"scale {scale:g} and offset {offset:g}" for scale, offset in stated)
    return _depth(source.dtypes[0]) + (f" with {tags}" if tags else "")


def values_mismatch(first: PathLike, other: PathLike) -> str | None:
    """Describe how the stored values of two dates differ in depth, scale or offset; one range of values does not fit both then.

    Args:
        first: Image of the first date.
        other: Image of the second date.

    Returns:
        A message that names both files; None if the values mean the same.

    Raises:
        InputError: A file cannot be read.
    """
    one, two = _stored(Path(first)), _stored(Path(other))
    return None if one == two else f"{other}: {two}, but {first} has {one}, so one range of values does not fit both"


def _stored(path: Path) -> str:
    kind = image_format(path)[3]
    if not has_tags(path, (_METADATA,)):
        return _depth(kind)
    try:
        with open_raster(path, f"{path}: reading the scale of values") as source, reading(path, "damaged or truncated"):
            return stored_values(source, source.indexes)
    except MissingDependencyError:  # Pillow reads 8 bits without rasterio
        return _depth(kind)


def _depth(dtype: str) -> str:
    kind = np.dtype(dtype)
    return f"{kind} values" if kind.kind == "f" or kind.itemsize == 1 else f"{8 * kind.itemsize}-bit integer values"
