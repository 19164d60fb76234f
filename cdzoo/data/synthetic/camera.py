"""Light and camera: when a date was taken, and what the sensor makes of the scene."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

METRES = 0.5  # per pixel
AIR = (0.60, 0.65, 0.72)  # colour of haze
MARGIN = 4
"""Pixels drawn around a scene and cut off: more than misregistration and blur reach, so that neither shows at its edge."""

_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])


@dataclass(frozen=True)
class Conditions:
    """When and how a date was taken.

    Attributes:
        azimuth: Direction to the sun in the picture, in radians.
        elevation: Height of the sun, in radians.
        season: 0 green, 1 dry.
        exposure: Factor on brightness.
        contrast: Factor on the distance from mid grey.
        gamma: Exponent on values in [0, 1].
        cast: Factor on each of R, G, B.
        haze: Share of light that is haze, in [0, 1).
        blur: Reach of the optical blur in pixels.
        grain: Deviation of the sensor noise, in grey values.
        shift: Displacement of the content (x, y) in pixels.
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

    def shadow(self, height: float) -> tuple[float, float]:
        """Return where the shadow of something `height` metres high ends, in pixels from its foot."""
        length = height / METRES / math.tan(self.elevation)
        return -math.cos(self.azimuth) * length, -math.sin(self.azimuth) * length

    def lambert(self, towards: float) -> float:
        """Return the light on a roof that slopes 27 degrees down to the direction `towards`: sky light plus sun."""
        level = math.cos(0.47) * math.sin(self.elevation)
        slope = math.sin(0.47) * math.cos(self.elevation) * math.cos(towards - self.azimuth)
        return 0.34 + 0.80 * max(0.0, level + slope)


def draw_conditions(rng: np.random.Generator, shifted: bool) -> Conditions:
    """Draw the conditions of one date.

    Args:
        rng: Source of every choice.
        shifted: Misregister the date by up to 2 pixels.
    """
    away, turn = rng.uniform(0, 2), rng.uniform(0, 2 * np.pi)
    cast = rng.normal(1, 0.03, 3)
    return Conditions(
        azimuth=rng.uniform(0.1, 0.9) * np.pi,  # from the south of a picture with north up, as north of the tropics
        elevation=np.deg2rad(rng.uniform(32, 64)),
        season=rng.uniform(0, 1),
        exposure=rng.uniform(0.84, 1.14),
        contrast=rng.uniform(0.95, 1.35),
        gamma=rng.uniform(0.85, 1.2),
        cast=(float(cast[0]), float(cast[1]), float(cast[2])),
        haze=max(0.0, rng.uniform(-0.08, 0.14)),
        blur=max(0.0, rng.uniform(-0.1, 0.4)),
        grain=rng.uniform(1.0, 4.5),
        shift=(away * np.cos(turn), away * np.sin(turn)) if shifted else (0.0, 0.0),
    )


def photograph(rng: np.random.Generator, scene: Image.Image, sky: Conditions) -> npt.NDArray[np.uint8]:
    """Turn a drawn scene into what the camera sees of it, (H, W, 3) uint8 without the scene's margin."""
    image = scene.point(_tone_curve(sky))
    if sky.blur:
        image = image.filter(ImageFilter.BoxBlur(sky.blur))
    width, height = image.width - 2 * MARGIN, image.height - 2 * MARGIN
    left, top = MARGIN - sky.shift[0], MARGIN - sky.shift[1]
    if sky.shift == (0.0, 0.0):
        image = image.crop((MARGIN, MARGIN, MARGIN + width, MARGIN + height))
    else:  # cubic: the blur of a linear one would give a shifted date away
        image = image.resize((width, height), Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
    # Noise as a table over random bytes stays in 8 bits, several times as fast as normal numbers in floating point.
    table = (128.5 + _QUANTILES * sky.grain).astype(int).tolist() * 3
    noise = Image.frombytes("RGB", image.size, rng.bytes(3 * width * height)).point(table)
    return np.array(ImageChops.add(image, noise, 1, -128))


def _tone_curve(sky: Conditions) -> list[int]:
    """Return what each band's 256 values become, one band after the other, as Pillow's `point` takes it."""
    values = ((np.arange(256) / 255) ** sky.gamma - 0.42) * sky.contrast + 0.42
    bands = [values * cast * sky.exposure * (1 - sky.haze) + air * sky.haze for cast, air in zip(sky.cast, AIR, strict=True)]
    curve: list[int] = (np.concatenate(bands) * 255).clip(0, 255).astype(int).tolist()
    return curve
