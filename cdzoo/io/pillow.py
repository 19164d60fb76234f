"""Open images of up to 8 bits with Pillow."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from cdzoo.errors import CdzooError, InputError
from cdzoo.io.formats import raster_driver
from cdzoo.io.inputs import existing_file
from cdzoo.io.rasters import open_raster, reading

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".img")

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "JPEG2000")  # of Pillow; it would run programs for others, such as EPS

# What Pillow raises for damaged files.
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError, struct.error)

_SUBFILE, _BITS, _SAMPLES, _EXTRA, _KIND = 254, 258, 277, 338, 339  # tags of TIFF
_OVERVIEW, _MASK, _PREMULTIPLIED = 1, 4, 1
_ORIENTATION = ExifTags.Base.Orientation
_COLORS = {"1": "RGB", "P": "RGB", "PA": "RGBA", "YCbCr": "RGB", "CMYK": "RGB"}
_TRANSPARENT = {"L": "LA", "RGB": "RGBA"}


class UnsupportedByPillow(Exception):
    """Pillow cannot read the file, or not with all of its bands and bits."""


@contextmanager
def open_image(path: str | Path, slices: tuple[slice, slice] | None = None) -> Iterator[Any]:
    """Open an image; errors while it is open are those of a damaged file.

    Args:
        path: Path of the file.
        slices: Rows and columns to read, without decoding the rest of the file; the whole image by default.

    Raises:
        InputError: The file does not exist, is not an image, is damaged, or has several pages.
        UnsupportedByPillow: Pillow would not read all bands and bits of the file.
    """
    path = existing_file(path)
    if slices is not None:
        yield _cut(path, slices)
        return
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if getattr(image, "n_frames", 1) > 1 and image.format == "TIFF":
                _check_pages(path, image)
            if _is_deep(image):
                if orientation(image) != 1:
                    raise InputError(
                        f"{path}: more than 8 bits or other bands, and turned by its orientation tag; save it upright"
                    )
                raise UnsupportedByPillow
            yield image
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:  # a bomb has more than about 180 megapixels
        if raster_driver(path) in ("GTiff", "JP2OpenJPEG", "ENVI", "HFA", "VRT"):
            raise UnsupportedByPillow from error
        reason = f"expected {', '.join(SUFFIXES)}" if isinstance(error, UnidentifiedImageError) else error
        raise InputError(f"{path}: not a readable image; {reason}") from error
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read the file ({error.strerror})") from error
    except _DAMAGED as error:
        if isinstance(error, CdzooError):
            raise
        raise InputError(f"{path}: the image is damaged or truncated ({error})") from error


def _cut(path: Path, slices: tuple[slice, slice]) -> Any:
    """Return a part of a raster as an image; `info` has "class_0" if its tags name the class of each value of its palette."""
    with open_raster(path, f"{path}: reading parts of images") as source, reading(path, "the image is damaged or truncated"):
        meanings = [meaning.name for meaning in source.colorinterp]
        has_alpha = "alpha" in meanings[1:]
        kind = {1: "L", 2: "LA" if has_alpha else "", 3: "" if has_alpha else "RGB", 4: "RGBA" if has_alpha else ""}
        if source.dtypes[0] != "uint8" or not kind.get(source.count):
            raise UnsupportedByPillow
        pixels = np.moveaxis(source.read(window=slices), 0, -1)
        if source.count > 1:
            return Image.fromarray(np.ascontiguousarray(pixels))
        if source.tags(1, "IMAGE_STRUCTURE").get("NBITS") == "1":
            return Image.fromarray(pixels[..., 0] > 0)
        image = Image.fromarray(np.ascontiguousarray(pixels[..., 0]))
        if meanings == ["palette"]:
            colors = source.colormap(1)
            image.putpalette([level for value in range(256) for level in colors.get(value, (0, 0, 0))[:3]])
            image.info |= {"class_0": True} if "class_0" in source.tags(1) else {}
        return image


def color_mode(path: str | Path, image: Any) -> str:
    """Return the mode of Pillow in which an image is read, whose bands are those of the image."""
    mode: str = image.mode
    if mode == "CMYK" and image.format == "TIFF":
        return mode  # four inks, or four bands of data
    mode = _COLORS.get(mode, mode)
    if mode == "LAB":
        raise InputError(f"{path}: stored in the color space LAB; convert it to RGB")
    return _TRANSPARENT.get(mode, mode) if "transparency" in image.info else mode


def decode(image: Any, mode: str) -> npt.NDArray[np.uint8]:
    """Return the pixels of an image in a mode, upright."""
    turned = orientation(image) if image.format != "TIFF" else 1  # TIFF images are turned by Pillow
    image = image if image.mode == mode else image.convert(mode)
    if turned != 1:
        image.getexif()[_ORIENTATION] = turned
        image = ImageOps.exif_transpose(image)
    return np.array(image)  # a copy: torch warns about Pillow's read-only memory


def orientation(image: Any) -> int:
    """Return the EXIF orientation of an image; 1 if it is upright."""
    # For a PNG without it, `getexif` would decode the image.
    return image.getexif().get(_ORIENTATION, 1) if image.format != "PNG" or "exif" in image.info else 1


def is_turned(image: Any) -> bool:
    """Return whether height and width of an upright image are exchanged in its header."""
    return image.format != "TIFF" and orientation(image) in (5, 6, 7, 8)


def _is_deep(image: Any) -> bool:
    """Return whether Pillow would reduce the bits, drop bands or change values of an image."""
    # Pillow silently reduces 16-bit RGB PNGs to 8 bits; the raw mode of the decoder has the original depth.
    raw_mode = str(image.tile[0][3]) if getattr(image, "tile", None) else ""
    if image.mode.startswith(("I", "F")) or ";16" in raw_mode:
        return True
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return False
    return (
        max(tags.get(_BITS, (1,))) > 8
        or tags.get(_SAMPLES, 1) != len(image.getbands())
        or set(tags.get(_KIND, (1,))) != {1}  # signed
        or _PREMULTIPLIED in tags.get(_EXTRA, ())
    )


def _check_pages(path: str | Path, image: Any) -> None:
    """Raise `InputError` for a TIFF with several pages that are neither overviews nor masks."""
    pages = 0
    for page in reversed(range(image.n_frames)):
        image.seek(page)
        pages += not image.tag_v2.get(_SUBFILE, 0) & (_OVERVIEW | _MASK)
    if pages > 1:
        raise InputError(
            f"{path}: has {pages} pages, of which only the first would be read; save the one that is meant as a file"
        )
