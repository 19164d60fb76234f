"""Reading images and masks from files, with an error that names the file when it is not what it should be."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from cdzoo.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

UInt8 = npt.NDArray[np.uint8]


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) from the header of an image file.

    Raises:
        InputError: The file does not exist or is no image.
    """
    with _opened(Path(path)) as image:
        return image.height, image.width


def read_image(path: str | Path, bands: int = 3) -> UInt8:
    """Read an 8-bit image as (H, W, bands).

    Palette images become RGB. An alpha channel that is opaque everywhere is dropped with a warning, unless four bands are
    asked for.

    Args:
        path: PNG, JPEG, TIFF or BMP file.
        bands: Number of bands expected.

    Raises:
        InputError: The file is missing, truncated, no image, not 8 bits per band, of another number of bands, or partly
            transparent.
    """
    path = Path(path)
    with _opened(path) as image:
        _check_depth(path, image)
        if image.mode in ("P", "PA", "1"):
            image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
        pixels = np.array(image)  # a copy: Pillow's own memory is read-only, which torch warns of
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if pixels.shape[2] == bands + 1 and image.mode in ("RGBA", "LA"):
        if pixels[..., -1].min() < 255:
            raise InputError(f"{path}: the image is partly transparent; expected {bands} opaque bands, flatten it first")
        warnings.warn(f"{path}: the alpha channel is opaque everywhere and is dropped", stacklevel=2)
        pixels = pixels[..., :-1]
    if pixels.shape[2] != bands:
        raise InputError(
            f"{path}: the image has {pixels.shape[2]} band(s) ({image.mode}), expected {bands}; "
            f"a model built with in_chans={pixels.shape[2]} takes it"
        )
    return np.ascontiguousarray(pixels)


def read_mask(path: str | Path) -> UInt8:
    """Read a change mask as (H, W) with values 0 and 1; in the file 1 or 255 means change.

    Raises:
        InputError: The file is missing, truncated, has several different bands, or values other than 0/1 or 0/255.
    """
    path = Path(path)
    with _opened(path) as image:
        _check_depth(path, image)
        pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
    if pixels.ndim == 3:
        if (pixels[..., :1] != pixels[..., :3]).any():
            raise InputError(f"{path}: the mask is a colour image; expected one band with values 0/1 or 0/255")
        pixels = pixels[..., 0]
    values = np.unique(pixels)
    if not (np.isin(values, (0, 1)).all() or np.isin(values, (0, 255)).all()):
        shown = ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
        raise InputError(f"{path}: the mask has values {shown}; expected 0/1 or 0/255")
    return (pixels > 0).astype(np.uint8)


def read_pair(path_a: str | Path, path_b: str | Path, bands: tuple[int, int] = (3, 3)) -> tuple[UInt8, UInt8]:
    """Read two images of one place, (H, W, bands) each.

    Raises:
        InputError: One of them cannot be read, or their sizes differ.
    """
    check_same_size(path_a, path_b)
    return read_image(path_a, bands[0]), read_image(path_b, bands[1])


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


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with Image.open(path) as image:
            yield image
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: no image that can be read; expected {', '.join(SUFFIXES)}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: the image is damaged or truncated ({error})") from error


def _check_depth(path: Path, image: Any) -> None:
    # Pillow opens 16-bit RGB PNGs as 8-bit RGB without a word; the decoder's arguments tell.
    raw_mode = str(image.tile[0][3]) if getattr(image, "tile", None) else ""
    bits = max(image.tag_v2.get(258, (8,))) if hasattr(image, "tag_v2") else 8  # 258: BitsPerSample
    if image.mode.startswith(("I", "F")) or ";16" in raw_mode or bits > 8:
        raise InputError(f"{path}: more than 8 bits per band ({image.mode}); expected 8-bit values, rescale it to 0..255 first")
