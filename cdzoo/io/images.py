"""Reading images from files, with an error that names the file when it is not what it should be."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from cdzoo.errors import InputError
from cdzoo.io.rasters import is_tiff, read_deep, size_of_deep

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) from the header of an image file.

    Raises:
        InputError: The file does not exist or is no image.
    """
    return image_format(path)[:2]


def image_format(path: str | Path) -> tuple[int, int, int, str]:
    """Return (height, width, bands, "uint8", "uint16" or the like) from the header of an image file.

    Raises:
        InputError: The file does not exist or is no image.
    """
    path = Path(path)
    try:
        with _opened(path) as image:
            if not _is_deep(image):
                bands = 3 if image.mode in ("P", "1") else len(image.getbands())
                return image.height, image.width, bands, "uint8"
    except _BeyondPillow:
        pass
    return size_of_deep(path)


@overload
def read_image(path: str | Path, bands: int = 3, value_range: None = None) -> UInt8: ...


@overload
def read_image(path: str | Path, bands: int, value_range: tuple[float, float] | None) -> UInt8 | Float32: ...


def read_image(path: str | Path, bands: int = 3, value_range: tuple[float, float] | None = None) -> UInt8 | Float32:
    """Read an image as (H, W, bands).

    8-bit images are given as uint8 unless `value_range` is stated. All others, and more bands than Pillow reads, go through
    rasterio and need a stated range: what 12-bit data or a reflectance mean cannot be seen in the file. Palette images become
    RGB. An alpha channel that is opaque everywhere is dropped with a warning, unless four bands are asked for.

    Args:
        path: PNG, JPEG, TIFF or BMP file.
        bands: Number of bands expected.
        value_range: Values that become 0 and 1; the result is then float32.

    Raises:
        InputError: The file is missing, truncated, no image, of another number of bands, partly transparent, holds NaN or
            infinite values, or is deeper than 8 bits and no range was stated.
        MissingDependencyError: rasterio is needed and not installed.
    """
    path = Path(path)
    try:
        pixels = _read_pillow(path, bands)
    except _BeyondPillow:
        pixels = read_deep(path)
        _check_finite(path, pixels)
        if value_range is None:
            raise _needs_range(path, pixels) from None
    if pixels.shape[2] != bands:
        raise InputError(
            f"{path}: the image has {pixels.shape[2]} band(s), expected {bands}; "
            f"a model built with in_chans={pixels.shape[2]} takes it"
        )
    return np.ascontiguousarray(pixels) if value_range is None else _scaled(pixels, value_range)


def read_grey(path: str | Path) -> UInt8:
    """Read an 8-bit image of one band, or of equal bands, as (H, W).

    Raises:
        InputError: The file is missing, truncated, no image, coloured, or deeper than 8 bits.
    """
    path = Path(path)
    try:
        with _opened(path) as image:
            if _is_deep(image):
                raise InputError(f"{path}: more than 8 bits per pixel ({image.mode}); expected a mask of 8-bit values")
            pixels = np.asarray(image.convert("L") if image.mode in ("1", "LA") else image)
    except _BeyondPillow as error:
        raise InputError(f"{path}: no mask that can be read; expected one band of 8-bit values") from error
    if pixels.ndim == 3:
        if (pixels[..., :1] != pixels[..., :3]).any():
            raise InputError(f"{path}: the mask is a colour image; expected one band with values 0/1 or 0/255")
        pixels = pixels[..., 0]
    return pixels


def read_pair(
    path_a: str | Path,
    path_b: str | Path,
    bands: tuple[int, int] = (3, 3),
    value_range: tuple[float, float] | None = None,
) -> tuple[UInt8 | Float32, UInt8 | Float32]:
    """Read two images of one place, (H, W, bands) each.

    Raises:
        InputError: One of them cannot be read, or their sizes differ.
    """
    check_same_size(path_a, path_b)
    return read_image(path_a, bands[0], value_range), read_image(path_b, bands[1], value_range)


def check_same_size(path: str | Path, other: str | Path) -> None:
    """Raise unless two image files have the same height and width.

    Raises:
        InputError: They differ, or one cannot be opened; both files and sizes are named.
    """
    (height, width), (other_height, other_width) = image_size(path), image_size(other)
    if (height, width) != (other_height, other_width):
        raise InputError(
            f"{other}: {other_width}x{other_height} pixels, but {path} has {width}x{height}; "
            f"expected the same size (cut or resample one of them)"
        )


class _BeyondPillow(Exception):
    """The file may be an image, but not one that Pillow reads in full depth."""


def _read_pillow(path: Path, bands: int) -> UInt8:
    with _opened(path) as image:
        if _is_deep(image):
            raise _BeyondPillow
        if image.mode in ("P", "PA", "1"):
            image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
        pixels = np.array(image)  # a copy: Pillow's own memory is read-only, which torch warns of
        mode = image.mode
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if pixels.shape[2] == bands + 1 and mode in ("RGBA", "LA"):
        if pixels[..., -1].min() < 255:
            raise InputError(f"{path}: the image is partly transparent; expected {bands} opaque bands, flatten it first")
        warnings.warn(f"{path}: the alpha channel is opaque everywhere and is dropped", stacklevel=3)
        pixels = pixels[..., :-1]
    return pixels


def _check_finite(path: Path, pixels: npt.NDArray[Any]) -> None:
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        bad = int((~np.isfinite(pixels)).any(-1).sum())
        raise InputError(f"{path}: {bad} pixel(s) are NaN or infinite; fill them, or cut the image to where it has data")


def _scaled(pixels: npt.NDArray[Any], value_range: tuple[float, float]) -> Float32:
    low, high = value_range
    return ((pixels.astype(np.float32) - low) / (high - low)).astype(np.float32)


def _needs_range(path: Path, pixels: npt.NDArray[Any]) -> InputError:
    return InputError(
        f"{path}: {pixels.dtype} values from {pixels.min():g} to {pixels.max():g}; state what is black and white, "
        f"for example --value-range '[0, {4095 if pixels.max() > 1 else 1}]', or rescale the image to 8 bits"
    )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        if path.is_symlink():
            raise InputError(f"{path}: a link that leads nowhere or in a circle")
        raise InputError(f"{path}: {'a folder, no image' if path.is_dir() else 'no such file'}")
    try:
        with Image.open(path) as image:
            yield image
    except UnidentifiedImageError as error:
        if is_tiff(path):
            raise _BeyondPillow from error
        raise InputError(f"{path}: no image that can be read; expected {', '.join(SUFFIXES)}") from error
    except Image.DecompressionBombError as error:
        # A quarter of a gigapixel and more: a scene, not an attack, when it is a TIFF.
        if is_tiff(path):
            raise _BeyondPillow from error
        raise InputError(f"{path}: too many pixels for an image of this format ({error})") from error
    except PermissionError as error:
        raise InputError(f"{path}: the file may not be read ({error.strerror}); change its permissions") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: the image is damaged or truncated ({error})") from error


def _is_deep(image: Any) -> bool:
    # Pillow opens 16-bit RGB PNGs as 8-bit RGB without a word; the decoder's arguments tell.
    raw_mode = str(image.tile[0][3]) if getattr(image, "tile", None) else ""
    bits = max(image.tag_v2.get(258, (8,))) if hasattr(image, "tag_v2") else 8  # 258: BitsPerSample
    samples = image.tag_v2.get(277, 1) if hasattr(image, "tag_v2") else 1  # 277: SamplesPerPixel
    return image.mode.startswith(("I", "F")) or ";16" in raw_mode or bits > 8 or samples > 4
