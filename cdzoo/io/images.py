"""Read images of 8 bits and more from files; all errors name the file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cdzoo.errors import ConfigError, InputError
from cdzoo.io.band_files import band_files, image_grid, read_bands
from cdzoo.io.band_names import band_indexes
from cdzoo.io.formats import is_tiff, raster_driver
from cdzoo.io.pillow import UnsupportedByPillow, color_mode, decode, is_turned, open_image, orientation
from cdzoo.io.rasters import open_raster, read_deep, reading, size_of_deep, valid_pixels

UInt8 = npt.NDArray[np.uint8]
Valid = npt.NDArray[np.bool_]

_GDAL_METADATA, _NODATA = 42112, 42113  # tags of TIFF


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) from the header of an image file.

    Raises:
        InputError: The file does not exist or is not an image.
    """
    return image_format(path)[:2]


def image_format(path: str | Path) -> tuple[int, int, int, str]:
    """Return (height, width, bands, dtype) from the header of an image file; dtype is a name such as `"uint8"`.

    Raises:
        InputError: The file does not exist, is not an image, or stores colors that are not read.
    """
    if files := band_files(path):
        height, width, _, kind = max(map(image_format, files.values()))
        if (grid := image_grid(path)) is not None:
            height, width = grid.height, grid.width
        return height, width, len(files), kind
    with suppress(UnsupportedByPillow), open_image(path) as image:
        width, height = image.size[::-1] if is_turned(image) else image.size
        return height, width, Image.getmodebands(color_mode(path, image)), "uint8"
    return size_of_deep(path)


def check_value_range(values: tuple[float, float] | None, name: str = "value_range") -> None:
    """Check that a range of values, if one is given, is two ascending finite numbers, which differ in float32.

    Raises:
        ConfigError: It is not; the message has the name of the argument.
    """
    if values is not None and not (
        len(values) == 2 and np.isfinite(values).all() and np.float32(values[0]) < np.float32(values[1])
    ):
        raise ConfigError(f"{name} must be (min, max) with min < max, got {values}")


def read_image(path: str | Path, bands: int = 3, value_range: tuple[float, float] | None = None) -> npt.NDArray[Any]:
    """Read an image as (H, W, bands), see `read_image_and_valid`; a warning tells how many pixels have no data and are 0."""
    pixels, valid = read_image_and_valid(path, bands, value_range)
    if valid is not None and not valid.all():
        warnings.warn(f"{path}: {np.count_nonzero(~valid)} pixel(s) are declared to have no data and are read as 0", stacklevel=2)
    return pixels


def read_image_and_valid(
    path: str | Path,
    bands: int = 3,
    value_range: tuple[float, float] | None = None,
    select: Sequence[int | str] | None = None,
    like: str | Path | None = None,
) -> tuple[npt.NDArray[Any], Valid | None]:
    """Read an image as (H, W, bands), and where it has data (H, W); None if the file declares no pixels without data.

    8-bit images are returned as uint8 unless `value_range` is given. Images of more than 8 bits, and TIFF files whose tags
    declare other bands than Pillow reads, are read with rasterio. More than 8 bits require `value_range`, because files do not
    specify the range of 12-bit data or reflectances. Colors are converted to RGB: palettes, YCbCr, and CMYK except in TIFF
    files, which may have four bands of data. Images are turned upright as their EXIF orientation requires. A last band more than
    `bands` is dropped with a warning if it is 255 everywhere.

    Args:
        path: File of one of `SUFFIXES`, or a folder with one file per band, see `band_files`. Its bands are brought to the grid
            of the finest one; pixels that a band does not cover have no data.
        bands: Number of bands expected.
        value_range: (min, max) mapped to [0, 1] in float32, without clipping; pixels without data are 0.
        select: Bands to read, from 1, or their names; all by default.
        like: Image with a georeference, to whose grid a folder of bands is brought instead.

    Raises:
        InputError: The file is missing, truncated or not an image, has another number of bands, is partly transparent, holds
            NaN or infinite values that are not declared as no data, or has more than 8 bits and `value_range` is None.
        MissingDependencyError: rasterio is needed and not installed.
    """
    check_value_range(value_range)
    if files := band_files(path):
        has_alpha = False
        pixels, valid = _read_files(path, files, select, like)
    else:
        pixels, valid, has_alpha = _read_file(path)
        if select is not None:
            names = [None] * pixels.shape[2] if all(isinstance(band, int) for band in select) else band_names(path)
            pixels, has_alpha = pixels[..., [index - 1 for index in band_indexes(path, names, select)]], False
    if pixels.dtype.kind == "f":
        _check_finite(path, pixels, valid)
    if pixels.dtype != np.uint8 and value_range is None:
        shown = pixels if valid is None or not valid.any() else pixels[valid]
        raise InputError(
            f"{path}: {pixels.dtype} values from {shown.min():g} to {shown.max():g}; give the (min, max) to map to [0, 1], "
            f"for example --value-range '[0, {4095 if shown.max() > 1 else 1}]', or rescale the image to 8 bits"
        )
    if pixels.shape[2] == bands + 1 and pixels.dtype == np.uint8:
        pixels = _without_alpha(path, pixels, has_alpha)
    _check_bands(path, pixels.shape[2], bands)
    if value_range is not None:
        low, high = value_range
        pixels = ((pixels.astype(np.float32) - low) / (high - low)).astype(np.float32)
    if valid is not None:
        pixels = np.where(valid[..., None], pixels, pixels.dtype.type(0))
    return np.ascontiguousarray(pixels), valid


def _read_file(path: str | Path) -> tuple[npt.NDArray[Any], Valid | None, bool]:
    """Return the stored values of a file (H, W, bands), where it has data (H, W), and whether the last band is alpha."""
    try:
        pixels, has_alpha, may_lack_data = _read_pillow(path)
    except UnsupportedByPillow:
        return read_deep(path), _declared_valid(path), False
    return pixels, _declared_valid(path) if may_lack_data else None, has_alpha


def band_names(path: str | Path) -> list[str | None]:
    """Return the name of each band of an image, None without one.

    Raises:
        InputError: The image cannot be read.
    """
    if files := band_files(path):
        return [*files]
    count = image_format(path)[2]
    if is_tiff(Path(path)) or raster_driver(Path(path)) in ("ENVI", "HFA", "VRT"):
        with open_raster(path, f"{path}: reading the names of its bands") as source:
            return [*source.descriptions] if source.count == count else [None] * count
    return [None] * count


def _read_files(
    path: str | Path, files: Mapping[str, Path], select: Sequence[int | str] | None, like: str | Path | None
) -> tuple[npt.NDArray[Any], Valid | None]:
    """Return the stored values of files of single bands (H, W, bands), and where they have data (H, W)."""
    chosen = [*files.values()]
    if select is not None:
        chosen = [chosen[index - 1] for index in band_indexes(path, [*files], select)]
    if (own := image_grid(path)) is not None:
        grid = own if like is None else image_grid(like)
        return read_bands(path, chosen, grid or own)
    sizes = {image_size(file) for file in files.values()}
    if len(sizes) > 1:
        raise InputError(f"{path}: the bands differ in size and have no georeference; resample them to one grid")
    layers, where = [], []
    for file in chosen:
        pixels, valid, _ = _read_file(file)
        _check_bands(file, pixels.shape[2], 1)
        layers.append(pixels)
        where += [] if valid is None else [valid]
    return np.concatenate(layers, -1), np.logical_and.reduce(where) if where else None


def read_gray(path: str | Path, indexed: bool = False, slices: tuple[slice, slice] | None = None) -> UInt8:
    """Read an 8-bit image with one band, or with equal bands, as (H, W).

    Palettes and CMYK are read as the colors they stand for, but change maps of this package as their values.

    Args:
        path: Path of the file.
        indexed: Read palettes with other colors than grays as their values, too.
        slices: Rows and columns to read, without decoding the rest of the file; the whole image by default.

    Raises:
        InputError: The file is missing, truncated or not an image, has colors or is partly transparent, or has more than 8 bits.
    """
    try:
        with open_image(path, slices) as image:
            mode = color_mode(path, image)
            gray = image.mode in ("1", "L") and "transparency" not in image.info
            palette = image.mode == "P"
            if _names_classes(image) or (indexed and _is_colored(image)):
                mode = "P"
            pixels = decode(image, "L" if gray else "RGB" if mode == "CMYK" else mode)
    except UnsupportedByPillow:
        pixels = read_deep(path, slices)
        if pixels.dtype != np.uint8:
            kind = "more than 8 bits per pixel" if pixels.itemsize > 1 else "signed values"
            raise InputError(f"{path}: {kind} ({pixels.dtype}); expected a mask of 8-bit values from 0 to 255") from None
        mode, palette = "", False
    if mode in ("LA", "RGBA"):
        if pixels[..., -1].min() < 255:
            raise InputError(f"{path}: the mask is partly transparent; save what is meant as one band with values 0/1 or 0/255")
        pixels = pixels[..., :-1]
    if pixels.ndim == 3:
        if (colored := (pixels[..., :1] != pixels).any(-1)).any():
            declare = "; if its values are meant, declare them with --mask-encoding" if palette else ""
            colors = np.unique(np.concatenate([pixels[~colored][:100], pixels[colored][:100]]), axis=0)[:4].tolist()
            raise InputError(
                f"{path}: the mask is a color image, with {', '.join(str(tuple(color)) for color in colors)}; expected one band "
                f"with values 0/1 or 0/255{declare}"
            )
        pixels = pixels[..., 0]
    return np.ascontiguousarray(pixels)


def _names_classes(image: Any) -> bool:
    """Return whether an image is a change map, whose tags name the class of each value of its palette."""
    tags = str(getattr(image, "tag_v2", {}).get(_GDAL_METADATA, ""))
    return image.mode == "P" and ("class_0" in image.info or 'name="class_0"' in tags)


def _is_colored(image: Any) -> bool:
    """Return whether the colors that an image uses of its palette are no grays, so that only its values can be meant."""
    if image.mode != "P" or "transparency" in image.info:
        return False
    colors = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    used = colors[[index for index in np.unique(np.array(image)) if index < len(colors)]]
    return bool((used != used[:, :1]).any())


def check_same_size(path: str | Path, other: str | Path) -> None:
    """Check that two image files have the same height and width.

    Raises:
        InputError: The sizes differ, or a file cannot be opened.
    """
    (height, width), (other_height, other_width) = image_size(path), image_size(other)
    if (height, width) != (other_height, other_width):
        raise InputError(
            f"{other}: {other_width}x{other_height} pixels, but {path} has {width}x{height}; "
            f"expected the same size (crop or resample one of them)"
        )


def _read_pillow(path: str | Path) -> tuple[UInt8, bool, bool]:
    """Return pixels (H, W, bands), and whether the last band is alpha and whether the file may declare pixels without data."""
    with open_image(path) as image:
        mode, tags = color_mode(path, image), getattr(image, "tag_v2", None)
        may_lack_data = _has_companion(path) or (tags is not None and (_NODATA in tags or image.n_frames > 1))
        if may_lack_data and orientation(image) != 1:
            raise InputError(f"{path}: turned by its orientation, and may have pixels without data; save it upright")
        pixels = decode(image, mode)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    return pixels, mode in ("RGBA", "LA"), may_lack_data


def _has_companion(path: str | Path) -> bool:
    """Return whether a file next to an image declares pixels without data."""
    notes = Path(f"{path}.aux.xml")
    return Path(f"{path}.msk").is_file() or (notes.is_file() and b"NoDataValue" in notes.read_bytes())


def _declared_valid(path: str | Path) -> Valid | None:
    """Return where a raster has data (H, W) by its nodata value or mask; None if it declares neither, or everywhere has data."""
    with open_raster(path, f"{path}: reading which pixels have no data") as source, reading(path, "damaged or truncated"):
        if any(meaning.name == "alpha" for meaning in source.colorinterp):
            return None
        valid = valid_pixels(source, source.indexes)
    return None if valid.all() else valid


def _check_finite(path: str | Path, pixels: npt.NDArray[Any], valid: Valid | None) -> None:
    bad = ~np.isfinite(pixels).all(-1)
    if valid is not None:
        bad &= valid
    if bad.any():
        hint = "declare NaN as nodata (gdal_edit.py -a_nodata nan FILE), fill them, or crop the image to its valid area"
        raise InputError(f"{path}: {np.count_nonzero(bad)} pixel(s) are NaN or infinite; {hint}")


def _check_bands(path: str | Path, found: int, bands: int) -> None:
    if found != bands:
        fewer = f", or write a copy with {bands} of the bands" if found > bands else ""
        raise InputError(f"{path}: the image has {found} band(s), expected {bands}; build the model with in_chans={found}{fewer}")


def _without_alpha(path: str | Path, pixels: UInt8, has_alpha: bool) -> UInt8:
    """Return an image without its last band if that is 255 everywhere."""
    if pixels[..., -1].min() == 255:
        which = "the alpha channel is opaque" if has_alpha else f"band {pixels.shape[2]} is 255"
        warnings.warn(f"{path}: {which} everywhere and is dropped", stacklevel=4)
        return pixels[..., :-1]
    if has_alpha:
        raise InputError(f"{path}: the image is partly transparent; remove the alpha channel first")
    return pixels


def image_files(path: str | Path) -> list[Path]:
    """Return the files of an image: its path, or those of its bands if it is a folder of them."""
    return [*band_files(path).values()] or [Path(path)]
