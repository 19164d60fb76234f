"""Sun, season, viewing angle and sensor of one date, and simulation of the sensor."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

from cdzoo.data.synthetic.camera import HAZE_COLOR

MARGIN = 12
"""Border in pixels that is drawn and cropped, wide enough for misregistration, lean and blur."""
MOST_SHIFT = 6.0
_QUANTILES = np.sort(np.random.default_rng(0).standard_normal(256))


@dataclass(frozen=True)
class View:
    """Acquisition of one date.

    Attributes:
        azimuth: Direction to the sun in the image plane, in radians.
        elevation: Elevation of the sun, in radians.
        ambient: Light of surfaces without sun, relative to full light.
        lean: Displacement (x, y) per unit of height, by an oblique view.
        season: From -1 (dry) to 1 (lush), added to the vegetation.
        leafless: Fraction of trees without leaves, in [0, 1].
        exposure: Brightness factor.
        contrast: Contrast factor, relative to middle gray.
        gamma: Exponent applied to values in [0, 1].
        saturation: Factor of the distance to gray.
        cast: Factors of R, G, B.
        haze: Opacity of the haze, in [0, 1).
        reduction: Side of the sampled image relative to the returned one, in (0, 1].
        blur: Radius of the optical blur in pixels.
        sharpening: Strength of the sharpening filter.
        grain: Standard deviation of the noise of pixels in gray levels.
        speckle: Standard deviation of the colored noise of groups of pixels.
        quality: JPEG quality; 0 for none.
        shift: Displacement (x, y) of the content in pixels.
    """

    azimuth: float
    elevation: float
    ambient: float
    lean: tuple[float, float]
    season: float
    leafless: float
    exposure: float
    contrast: float
    gamma: float
    saturation: float
    cast: tuple[float, float, float]
    haze: float
    reduction: float
    blur: float
    sharpening: float
    grain: float
    speckle: float
    quality: int
    shift: tuple[float, float]

    def shadow(self, height: float) -> tuple[float, float]:
        """Return the offset (x, y) of the shadow of a point at `height`."""
        length = height / math.tan(self.elevation)
        return -math.cos(self.azimuth) * length, -math.sin(self.azimuth) * length

    def light(self, pitch: float, towards: float) -> float:
        """Return the brightness of a slope of `pitch` radians that faces `towards`, relative to flat ground."""
        level = math.cos(pitch) * math.sin(self.elevation)
        slope = math.sin(pitch) * math.cos(self.elevation) * math.cos(towards - self.azimuth)
        return self.ambient + (1 - self.ambient) * max(0.0, level + slope) / math.sin(self.elevation)


def draw_view(rng: np.random.Generator, shifted: bool) -> View:
    """Sample the acquisition of one date.

    Args:
        rng: Random generator.
        shifted: Displace the content by up to 6 pixels.
    """
    cast = rng.normal(1, 0.05, 3) * (1.0, 1.0, rng.uniform(0.85, 1.05))
    distance, direction = MOST_SHIFT * rng.random() ** 2, rng.uniform(0, 2 * np.pi)
    lean, towards = 0.3 * rng.random() ** 2, rng.uniform(0, 2 * np.pi)
    sharp, contrast = rng.random(), rng.uniform(0.75, 1.6)
    return View(
        azimuth=rng.uniform(0.05, 0.95) * np.pi if rng.random() < 0.85 else rng.uniform(0, 2 * np.pi),
        elevation=np.deg2rad(rng.uniform(28, 70)),
        ambient=rng.uniform(0.2, 0.5),
        lean=(lean * np.cos(towards), lean * np.sin(towards)),
        season=rng.uniform(-0.5, 0.5),
        leafless=max(0.0, rng.uniform(-0.8, 0.8)),
        exposure=rng.uniform(0.65, 1.25),
        contrast=contrast,
        gamma=rng.uniform(0.8, 1.3),
        saturation=rng.uniform(0.45, 1.15) / contrast**0.6,
        cast=(float(cast[0]), float(cast[1]), float(cast[2])),
        haze=max(0.0, rng.uniform(-0.25, 0.3)),
        reduction=rng.uniform(0.5, 0.95) if rng.random() < 0.2 else 1.0,
        blur=rng.uniform(0.25, 0.8) if sharp < 0.4 else 0.0,
        sharpening=rng.uniform(0.1, 1.6) if sharp > 0.4 else 0.0,
        grain=rng.uniform(0.5, 5),
        speckle=max(0.0, rng.uniform(-6, 9)),
        quality=int(rng.uniform(35, 96)) if rng.random() < 0.5 else 0,
        shift=(distance * np.cos(direction), distance * np.sin(direction)) if shifted else (0.0, 0.0),
    )


def capture(rng: np.random.Generator, scene: Image.Image, view: View) -> npt.NDArray[np.uint8]:
    """Apply the sensor to a drawn scene; returns an image (H, W, 3) uint8 without the margin."""
    image = scene.point(_tone_curve(view))
    image = Image.blend(image.convert("L").convert("RGB"), image, view.saturation)
    width, height = image.width - 2 * MARGIN, image.height - 2 * MARGIN
    if view.reduction < 1:
        small = round(image.width * view.reduction), round(image.height * view.reduction)
        image = image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BILINEAR)
    if view.blur:
        image = image.filter(ImageFilter.BoxBlur(view.blur))
    left, top = MARGIN - view.shift[0], MARGIN - view.shift[1]
    # Both dates are resampled, so that neither is sharper by its displacement.
    image = image.resize(
        (width, height), Image.Resampling.BICUBIC, box=(left + 0.3, top + 0.3, left + width + 0.3, top + height + 0.3)
    )
    if view.speckle:
        table = (128.5 + _QUANTILES * view.speckle).clip(0, 255).astype(int).tolist() * 3
        half = (width + 1) // 2, (height + 1) // 2
        speckle = Image.frombytes("RGB", half, rng.bytes(3 * half[0] * half[1])).point(table)
        image = ImageChops.add(image, speckle.resize(image.size, Image.Resampling.BILINEAR), 1, -128)
    if view.sharpening:
        image = Image.blend(image.filter(ImageFilter.BoxBlur(1)), image, 1 + view.sharpening)
    table = (128.5 + _QUANTILES * view.grain).astype(int).tolist() * 3
    noise = Image.frombytes("RGB", image.size, rng.bytes(3 * width * height)).point(table)
    image = ImageChops.add(image, noise, 1, -128)
    if view.quality:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=view.quality)
        image = Image.open(file)
    return np.array(image)


def displace(mask: Image.Image, view: View) -> npt.NDArray[np.uint8]:
    """Return a mask (H, W) displaced like the image of `capture`."""
    width, height = mask.width - 2 * MARGIN, mask.height - 2 * MARGIN
    left, top = MARGIN - round(view.shift[0]), MARGIN - round(view.shift[1])
    return np.array(mask.crop((left, top, left + width, top + height)))


def _tone_curve(view: View) -> list[int]:
    """Return the lookup table of all bands, 256 values each, for `Image.point`."""
    values = ((np.arange(256) / 255) ** view.gamma - 0.42) * view.contrast + 0.42
    bands = [
        values * cast * view.exposure * (1 - view.haze) + air * view.haze for cast, air in zip(view.cast, HAZE_COLOR, strict=True)
    ]
    curve: list[int] = (np.concatenate(bands) * 255).clip(0, 255).astype(int).tolist()
    return curve
