"""Read images of 8 bits and more from files; all errors name the file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from cdzoo.errors import InputError
from cdzoo.io.inputs import existing_file
from cdzoo.io.rasters import is_tiff, read_deep, size_of_deep

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

UInt8 = npt.NDArray[np.uint8]


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) from the header of an image file.

    Raises:
        InputError: The file does not exist or is not an image.
    """
    return image_format(path)[:2]


def image_format(path: str | Path) -> tuple[int, int, int, str]:
    """Return (height, width, bands, dtype) from the header of an image file; dtype is a name such as `"uint8"`.

    Raises:
        InputError: The file does not exist or is not an image.
    """
    with suppress(_UnsupportedByPillow), _opened(path) as image:
        if not _is_deep(image):
            bands = 3 if image.mode in ("P", "1") else len(image.getbands())
            return image.height, image.width, bands, "uint8"
    return size_of_deep(path)


def read_image(path: str | Path, bands: int = 3, value_range: tuple[float, float] | None = None) -> npt.NDArray[Any]:
    """Read an image as (H, W, bands).

    8-bit images are returned as uint8 unless `value_range` is given. Images of more than 8 bits or more than four bands are
    read with rasterio and require `value_range`, because files do not specify the range of 12-bit data or reflectances.
    Palette images are converted to RGB. An opaque alpha channel is dropped with a warning unless `bands` includes it.

    Args:
        path: PNG, JPEG, TIFF or BMP file.
        bands: Number of bands expected.
        value_range: (min, max) mapped to [0, 1] in float32, without clipping.

    Raises:
        InputError: The file is missing, truncated or not an image, has another number of bands, is partly transparent, holds
            NaN or infinite values, or has more than 8 bits and `value_range` is None.
        MissingDependencyError: rasterio is needed and not installed.
    """
    try:
        pixels = _read_pillow(path, bands)
    except _UnsupportedByPillow:
        pixels = read_deep(path)
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            bad = int((~np.isfinite(pixels)).any(-1).sum())
            hint = "fill them, or crop the image to its valid area"
            raise InputError(f"{path}: {bad} pixel(s) are NaN or infinite; {hint}") from None
        if value_range is None:
            raise InputError(
                f"{path}: {pixels.dtype} values from {pixels.min():g} to {pixels.max():g}; give the (min, max) to map to [0, 1], "
                f"for example --value-range '[0, {4095 if pixels.max() > 1 else 1}]', or rescale the image to 8 bits"
            ) from None
    if pixels.shape[2] != bands:
        raise InputError(
            f"{path}: the image has {pixels.shape[2]} band(s), expected {bands}; build the model with in_chans={pixels.shape[2]}"
        )
    if value_range is None:
        return np.ascontiguousarray(pixels)
    low, high = value_range
    return ((pixels.astype(np.float32) - low) / (high - low)).astype(np.float32)


def read_gray(path: str | Path) -> UInt8:
    """Read an 8-bit image with one band, or with equal bands, as (H, W).

    Raises:
        InputError: The file is missing, truncated or not an image, has different bands, or has more than 8 bits.
    """
    try:
        with _opened(path) as image:
            if _is_deep(image):
                raise InputError(f"{path}: more than 8 bits per pixel ({image.mode}); expected a mask of 8-bit values")
            pixels = np.asarray(image.convert("L") if image.mode in ("1", "LA") else image)
    except _UnsupportedByPillow as error:
        raise InputError(f"{path}: the mask cannot be read; expected one band of 8-bit values") from error
    if pixels.ndim == 3:
        if (pixels[..., :1] != pixels[..., :3]).any():
            raise InputError(f"{path}: the mask is a color image; expected one band with values 0/1 or 0/255")
        pixels = pixels[..., 0]
    return pixels


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


class _UnsupportedByPillow(Exception):
    """Pillow cannot read the file, or not in its full bit depth."""


def _read_pillow(path: str | Path, bands: int) -> UInt8:
    with _opened(path) as image:
        if _is_deep(image):
            raise _UnsupportedByPillow
        if image.mode in ("P", "PA", "1"):
            image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
        pixels = np.array(image)  # a copy: torch warns about Pillow's read-only memory
        mode = image.mode
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if pixels.shape[2] == bands + 1 and mode in ("RGBA", "LA"):
        if pixels[..., -1].min() < 255:
            raise InputError(f"{path}: the image is partly transparent; remove the alpha channel first")
        warnings.warn(f"{path}: the alpha channel is opaque everywhere and is dropped", stacklevel=3)
        pixels = pixels[..., :-1]
    return pixels


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    path = existing_file(path)
    try:
        with Image.open(path) as image:
            yield image
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:  # a bomb has more than about 180 megapixels
        if is_tiff(path):
            raise _UnsupportedByPillow from error
        reason = f"expected {', '.join(SUFFIXES)}" if isinstance(error, UnidentifiedImageError) else error
        raise InputError(f"{path}: not a readable image; {reason}") from error
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read the file ({error.strerror})") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: the image is damaged or truncated ({error})") from error


def _is_deep(image: Any) -> bool:
    # Pillow silently reduces 16-bit RGB PNGs to 8 bits; the raw mode of the decoder has the original depth.
    raw_mode = str(image.tile[0][3]) if getattr(image, "tile", None) else ""
    bits = max(image.tag_v2.get(258, (8,))) if hasattr(image, "tag_v2") else 8  # 258: BitsPerSample
    samples = image.tag_v2.get(277, 1) if hasattr(image, "tag_v2") else 1  # 277: SamplesPerPixel
    return image.mode.startswith(("I", "F")) or ";16" in raw_mode or bits > 8 or samples > 4
