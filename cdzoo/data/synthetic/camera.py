"""Acquisition conditions of a date and sensor simulation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

METERS_PER_PIXEL = 0.5
HAZE_COLOR = (0.60, 0.65, 0.72)  # RGB in [0, 1]
MARGIN = 4
"""Border in pixels that is drawn and cropped, wide enough for misregistration and blur."""

_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])


@dataclass(frozen=True)
class Conditions:
    """Acquisition conditions of one date.

    Attributes:
        azimuth: Direction to the sun in the image plane, in radians.
        elevation: Elevation of the sun, in radians.
        season: Season, from 0 (green) to 1 (dry).
        exposure: Brightness factor.
        contrast: Contrast factor, relative to middle gray.
        gamma: Exponent applied to values in [0, 1].
        cast: Factors of R, G, B.
        haze: Opacity of the haze, in [0, 1).
        blur: Radius of the optical blur in pixels.
        grain: Standard deviation of the sensor noise in gray levels.
        shift: Displacement (x, y) of the image content in pixels.
    """

    azimuth: float
    elevation: float
    season: float
    exposure: float
    contrast: float
    gamma: float
    cast: tuple[float, float, float]
    haze: float
    blur: float
    grain: float
    shift: tuple[float, float]

    def shadow_offset(self, height: float) -> tuple[float, float]:
        """Return the offset (x, y) in pixels of the shadow of a point `height` meters above the ground."""
        length = height / METERS_PER_PIXEL / math.tan(self.elevation)
        return -math.cos(self.azimuth) * length, -math.sin(self.azimuth) * length

    def roof_light(self, towards: float, pitch: float = 0.47) -> float:
        """Return the brightness of a roof with a slope of `pitch` radians facing `towards`: ambient plus direct light."""
        level = math.cos(pitch) * math.sin(self.elevation)
        slope = math.sin(pitch) * math.cos(self.elevation) * math.cos(towards - self.azimuth)
        return 0.34 + 0.80 * max(0.0, level + slope)


def draw_conditions(rng: np.random.Generator, shifted: bool) -> Conditions:
    """Sample the acquisition conditions of one date.

    Args:
        rng: Random generator.
        shifted: Whether to displace the content by up to 2 pixels.
    """
    distance, direction = rng.uniform(0, 2), rng.uniform(0, 2 * np.pi)
    cast = rng.normal(1, 0.03, 3)
    return Conditions(
        azimuth=rng.uniform(0.1, 0.9) * np.pi,  # from the south in a north-up image, as north of the tropics
        elevation=np.deg2rad(rng.uniform(32, 64)),
        season=rng.uniform(0, 1),
        exposure=rng.uniform(0.84, 1.14),
        contrast=rng.uniform(0.95, 1.35),
        gamma=rng.uniform(0.85, 1.2),
        cast=(float(cast[0]), float(cast[1]), float(cast[2])),
        haze=max(0.0, rng.uniform(-0.08, 0.14)),
        blur=max(0.0, rng.uniform(-0.1, 0.4)),
        grain=rng.uniform(1.0, 4.5),
        shift=(distance * np.cos(direction), distance * np.sin(direction)) if shifted else (0.0, 0.0),
    )


def capture(rng: np.random.Generator, scene: Image.Image, conditions: Conditions) -> npt.NDArray[np.uint8]:
    """Apply the acquisition conditions to a drawn scene; returns an image (H, W, 3) uint8 without the margin."""
    image = scene.point(_tone_curve(conditions))
    if conditions.blur:
        image = image.filter(ImageFilter.BoxBlur(conditions.blur))
    width, height = image.width - 2 * MARGIN, image.height - 2 * MARGIN
    left, top = MARGIN - conditions.shift[0], MARGIN - conditions.shift[1]
    if conditions.shift == (0.0, 0.0):
        image = image.crop((MARGIN, MARGIN, MARGIN + width, MARGIN + height))
    else:  # bicubic, because bilinear resampling would blur displaced dates only
        image = image.resize((width, height), Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
    # A lookup table on random bytes is several times faster than normally distributed floats.
    table = (128.5 + _QUANTILES * conditions.grain).astype(int).tolist() * 3
    noise = Image.frombytes("RGB", image.size, rng.bytes(3 * width * height)).point(table)
    return np.array(ImageChops.add(image, noise, 1, -128))


def _tone_curve(conditions: Conditions) -> list[int]:
    """Return the lookup table of all bands, 256 values each, for `Image.point`."""
    values = ((np.arange(256) / 255) ** conditions.gamma - 0.42) * conditions.contrast + 0.42
    exposure, haze = conditions.exposure, conditions.haze
    bands = [values * cast * exposure * (1 - haze) + air * haze for cast, air in zip(conditions.cast, HAZE_COLOR, strict=True)]
    curve: list[int] = (np.concatenate(bands) * 255).clip(0, 255).astype(int).tolist()
    return curve
