"""Uploaded images: checked against the limits of the page, shown before they are used, and prepared for `predict_scene`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cdzoo.errors import InputError
from cdzoo.io.formats import raster_driver
from cdzoo.io.images import UInt8, image_format, read_image
from cdzoo.io.inputs import existing_file
from cdzoo.io.rasters import limited_cache
from cdzoo.scenes.config import SceneCfg
from cdzoo.scenes.raster import RasterSource
from cdzoo.visualize import to_rgb

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".jp2")
PERCENTILES = (2.0, 98.0)
"""Percentiles of each band that map to 0 and 1 in images of more than 8 bits, unless a range is given."""
_PICTURES = ("PNG", "JPEG", "WEBP", "BMP", "GIF")  # GDAL drivers of formats without a place, which may have palettes
_DRIVERS = (*_PICTURES, "GTiff", "JP2OpenJPEG")  # others name further files


@dataclass(frozen=True)
class Limits:
    """Largest inputs of the page.

    Attributes:
        megabytes: Size of an uploaded file.
        megapixels: Number of pixels of an image, in millions.
    """

    megabytes: int = 2000
    megapixels: int = 200


@dataclass(frozen=True)
class Values:
    """How the values of the images are read.

    Attributes:
        bands: Bands that the model receives, from 1; empty for all.
        value_range: Values that map to 0 and 1; None for 0 to 255, or the percentiles `PERCENTILES` of deeper images.
    """

    bands: tuple[int, ...] = ()
    value_range: tuple[float, float] | None = None

    def scene_cfg(self, images: Sequence[Path], threshold: float) -> SceneCfg:
        """Return the settings with which a pair is predicted."""
        deep = any(image_format(image)[3] != "uint8" for image in images)
        return SceneCfg(
            threshold=threshold,
            value_range=self.value_range,
            percentiles=PERCENTILES if deep and self.value_range is None else None,
            bands=self.bands or None,
            # Maps of other thresholds are made from the probability, which must not be rounded.
            probability="float32",
            progress=False,
        )


def read_values(bands: str, value_range: str) -> Values:
    """Return the values that the fields of the page ask for.

    Args:
        bands: Numbers separated by commas or spaces, such as `"4, 3, 2"`; empty for all bands.
        value_range: Values that map to 0 and 1, such as `"0, 4095"`; empty for those of the files.

    Raises:
        InputError: They are no numbers.
    """
    words, ends = (text.replace(",", " ").split() for text in (bands, value_range))
    if not all(word.isdecimal() and 1 <= int(word) <= 65_535 for word in words):
        raise InputError(f"bands: '{bands}' are no numbers of bands; write them as in 4, 3, 2, counted from 1")
    try:
        span = tuple(map(float, ends))
    except ValueError:
        span = ()
    if ends and (len(span) != 2 or not -math.inf < span[0] < span[1] < math.inf):
        raise InputError(f"values for black and white: '{value_range}' are not two ascending numbers; write them as in 0, 4095")
    return Values(tuple(map(int, words)), (span[0], span[1]) if ends else None)


def check_upload(path: str | Path, limits: Limits) -> Path:
    """Check the header of an uploaded image.

    Raises:
        InputError: It is not an image, names other files, or has more pixels than the page takes.
    """
    file = existing_file(path)
    if raster_driver(file) not in _DRIVERS:
        raise InputError(f"{file}: not an image that this page reads; upload one of {', '.join(SUFFIXES)}")
    height, width, *_ = image_format(file)
    if height * width > limits.megapixels * 1_000_000:
        raise InputError(
            f"{file}: {width:,} x {height:,} pixels are more than the {limits.megapixels} megapixels that this page takes; cut "
            "the image into parts, or map it with 'cdzoo predict', which has no limit"
        )
    return file


def prepare(path: Path, folder: Path, bands: int) -> Path:
    """Return the file from which an image is predicted: pictures are decoded as `predict_pair` does, and stored in a folder.

    Palettes are resolved, turned photographs are upright, and opaque alpha channels are dropped then.

    Args:
        path: Uploaded image.
        folder: Folder of the prediction.
        bands: Number of bands that the model expects.
    """
    if raster_driver(path) not in _PICTURES or image_format(path)[3] != "uint8" or bands not in (1, 3, 4):
        return path
    pixels = read_image(path, bands)
    folder.mkdir(exist_ok=True)
    target = folder / f"{path.stem}.png"
    Image.fromarray(pixels[..., 0] if bands == 1 else pixels).save(target, compress_level=1)
    return target


def preview(path: Path, side: int) -> UInt8:
    """Return an image as RGB (h, w, 3) at a lower resolution, to be shown.

    Args:
        path: Uploaded image.
        side: Longest side in pixels.
    """
    height, width, count, kind = image_format(path)
    if raster_driver(path) in _PICTURES and kind == "uint8":
        picture = Image.fromarray(to_rgb(read_image(path, count)))
        picture.thumbnail((side, side))
        return np.asarray(picture)
    options: dict[str, Any] = {"percentiles": PERCENTILES} if kind != "uint8" else {}
    scale = min(1.0, side / max(height, width))
    with limited_cache(), RasterSource(path, None, alpha=False, **options) as source:
        return shown(source, (max(1, round(height * scale)), max(1, round(width * scale))))


def shown(source: RasterSource, shape: tuple[int, int]) -> UInt8:
    """Return a raster as RGB (h, w, 3) of a shape; pixels without data are light gray."""
    pixels, valid = source.overview(shape)
    picture = to_rgb(pixels if pixels.dtype == np.uint8 else (pixels * 255).round().astype(np.uint8))
    return np.where(valid[..., None], picture, np.uint8(222))
