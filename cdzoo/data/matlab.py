"""A scene in MATLAB files, two images and a mask as arrays, written as a folder with a pair of GeoTIFFs."""

from __future__ import annotations

import re
import shutil
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.data.datasets import known_layouts
from cdzoo.data.layout import find_layout, find_splits
from cdzoo.data.listing import PairFiles
from cdzoo.data.masks import MaskEncoding, check_encoding
from cdzoo.data.suggestion import role_of
from cdzoo.errors import ConfigError, InputError
from cdzoo.io.files import check_new_folder
from cdzoo.io.images import UInt8
from cdzoo.io.matlab import MatlabArray, is_matlab, list_arrays
from cdzoo.io.rasters import require_rasterio

ROLES = ("before", "after", "mask")
_FOLDERS = ("A", "B", "label")
_DAY = re.compile(r"(?<!\d)(?:19|20)\d\d(?:[01]\d(?:[0-3]\d)?)?(?!\d)")
_BLOCK = 256  # side of an internal block of the files in pixels
_LISTED = 8


def holds_matlab(path: str | Path) -> bool:
    """Return whether a path is that of a MATLAB file, or of a folder of them that has no pairs of images."""
    if not Path(path).is_dir():
        return is_matlab(path)
    layouts = known_layouts()
    return bool(_files(Path(path))) and not find_layout(path, layouts) and not find_splits(path, layouts)


def write_matlab(
    source: str | Path, out: Path, columns: Sequence[str] = (), encoding: MaskEncoding | None = None
) -> tuple[PairFiles, MaskEncoding]:
    """Write two images and a mask of MATLAB files as `OUT/A|B|label/NAME.tif`, without changing values.

    Images keep their type and all bands. NaN is their nodata value. Masks get 8 bits.

    Args:
        source: File with several arrays, or folder of files. `NAME` is its name.
        out: Folder to create. It is complete once it exists.
        columns: Arrays of both images (height, width) or (height, width, bands), and of the mask (height, width). An array is
            named by its variable; in a folder, by its variable if no other file has it, by the name of its file if that has one
            image, or as `FILE/VARIABLE`. By default found by their names, such as `T1`, `after`, `barbara_2014`.
        encoding: Encoding of the mask; detected by default.

    Returns:
        The files, and the encoding of the mask.

    Raises:
        InputError: `out` exists, a file cannot be read, or the arrays are no images and mask of one size.
        ConfigError: An array does not exist, or the arrays have to be named.
        MissingDependencyError: scipy or rasterio is not installed.
    """
    check_new_folder(out)
    require_rasterio(f"{source}: writing GeoTIFFs")
    path = Path(source)
    arrays = [array for file in (_files(path) if path.is_dir() else [path]) for array in list_arrays(file)]
    named = _names(arrays, path.is_dir())
    *dates, mask = _given(path, named, columns) if columns else _found(path, named)
    _check_shapes(dates, mask)
    name = path.resolve().name if path.is_dir() else path.stem
    temporary = out.with_name(f".{out.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        values = _mask_values(mask)
        found = check_encoding(mask.title, values, encoding)
        _write(temporary / _FOLDERS[2] / f"{name}.tif", values)
        for array, folder in zip(dates, _FOLDERS, strict=False):
            _write(temporary / folder / f"{name}.tif", _image_values(array))
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    before, after, label = (out / folder / f"{name}.tif" for folder in _FOLDERS)
    return PairFiles(name, (before, after), label), found


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if is_matlab(file) and file.is_file() and not file.name.startswith("."))


def _names(arrays: Sequence[MatlabArray], in_folder: bool) -> dict[str, MatlabArray]:
    """Return the arrays by all names that tell them apart, the shortest ones first."""
    if not in_folder:
        return {array.variable: array for array in arrays}
    variables = Counter(array.variable for array in arrays)
    named = {array.variable: array for array in arrays if variables[array.variable] == 1}
    for file in {array.file: None for array in arrays}:
        own = [array for array in arrays if array.file == file]
        images = [array for array in own if array.may_be_image] or own
        if len(images) == 1:
            named.setdefault(file.stem, images[0])
    return named | {f"{array.file.stem}/{array.variable}": array for array in arrays}


def _given(source: Path, named: Mapping[str, MatlabArray], columns: Sequence[str]) -> list[MatlabArray]:
    """Return the arrays of both dates and of the mask by the names that were given."""
    missing = [column for column in columns if column not in named]
    if missing or len(columns) != len(ROLES) or len({named[column] for column in columns}) < len(ROLES):
        wrong = f"no array {', '.join(missing)}" if missing else f"{', '.join(columns)} are not three arrays"
        raise ConfigError(
            f"--columns takes the arrays of the images before and after, and of the mask: {wrong}; {source} has {_shown(named)}"
        )
    return [named[column] for column in columns]


def _found(source: Path, named: Mapping[str, MatlabArray]) -> list[MatlabArray]:
    """Return the arrays of both dates and of the mask by what their names tell: roles, or the years or days of the dates."""
    roles: dict[str, list[MatlabArray]] = {role: [] for role in ROLES}
    days: dict[str, list[MatlabArray]] = {}
    for array in dict.fromkeys(array for array in named.values() if array.may_be_image):
        names = (array.variable, array.file.stem) if source.is_dir() else (array.variable,)
        if role := next(filter(None, map(role_of, names)), ""):
            roles[role].append(array)
        elif day := next(filter(None, map(_DAY.search, names)), None):
            days.setdefault(day[0], []).append(array)
    if not roles["before"] and not roles["after"] and len(days) == 2:
        roles["before"], roles["after"] = (days[day] for day in sorted(days))
    if any(len(arrays) != 1 for arrays in roles.values()):
        raise ConfigError(
            f"{source}: name the arrays of the images before and after, and of the mask: --columns BEFORE AFTER MASK; it has "
            f"{_shown(named)}"
        )
    return [roles[role][0] for role in ROLES]


def _shown(named: Mapping[str, MatlabArray]) -> str:
    """Return the shortest name, the shape and the class of each array."""
    names: dict[MatlabArray, str] = {}
    for name, array in named.items():
        names.setdefault(array, name)
    return ", ".join(f"{name} ({array})" for array, name in names.items()) or "no arrays"


def _check_shapes(dates: Sequence[MatlabArray], mask: MatlabArray) -> None:
    """Raise unless the declared shapes are those of two images and a mask of one size."""
    for array in (*dates, mask):
        array.check()
    if len(mask.shape) != 2:
        raise InputError(f"{mask.title}: {mask}; expected a mask (height, width), so save the band that holds the changes")
    for array in dates:
        if array.shape[:2] == mask.shape and len(array.shape) in (2, 3):
            continue
        if len(array.shape) == 3 and array.shape[1:] == mask.shape:
            raise InputError(f"{array.title}: {array}, bands first; save it as (height, width, bands): permute(X, [2 3 1])")
        raise InputError(
            f"{array.title}: {array}, but {mask.title} is {mask}; expected images (height, width) or (height, width, bands) with "
            "the height and width of the mask, so crop, reshape or transpose one of them, or name other arrays with --columns"
        )


def _mask_values(array: MatlabArray) -> UInt8:
    """Return the values of a mask (H, W) of any type as 8 bits, after checking that they have as many."""
    values = array.read()
    with np.errstate(invalid="ignore"):  # NaN
        bits = values.astype(np.uint8)
    if (bits != values).any():
        strange = np.unique(values[bits != values])
        shown = ", ".join(map(str, strange[:_LISTED].tolist())) + (", ..." if len(strange) > _LISTED else "")
        raise InputError(
            f"{array.title}: the mask has values {shown}; expected whole numbers from 0 to 255, so give these pixels another "
            "one, and declare what they mean: --mask-encoding, such as 0/1/255 for no change, change and no label"
        )
    return bits


def _image_values(array: MatlabArray) -> npt.NDArray[Any]:
    """Return the values of an image (H, W) or (H, W, bands) after checking that none is infinite."""
    values = array.read()
    if values.dtype.kind == "f" and (count := int(np.isinf(values).sum())):
        raise InputError(f"{array.title}: {count} value(s) are infinite; save them as NaN, which means no data")
    return values.astype(np.uint8) if values.dtype == bool else values


def _write(path: Path, values: npt.NDArray[Any]) -> None:
    """Write an array (H, W) or (H, W, bands) as a GeoTIFF without coordinates."""
    import rasterio

    bands = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    count, height, width = bands.shape
    profile: dict[str, Any] = {"driver": "GTiff", "dtype": values.dtype, "count": count, "height": height, "width": width}
    profile |= {"nodata": float("nan")} if values.dtype.kind == "f" else {}
    # By default, the fourth band of 8 bits would be alpha.
    profile |= {"photometric": "RGB" if count == 3 and values.dtype.itemsize == 1 else "MINISBLACK", "alpha": "NO"}
    profile |= {"compress": "deflate", "interleave": "band", "tiled": True}
    profile |= {f"block{axis}size": min(_BLOCK, -(-side // 16) * 16) for axis, side in (("x", width), ("y", height))}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", BIGTIFF="IF_SAFER", **profile) as file:
            file.write(bands)
