"""Drawing one date of a plan: ground, streets, shadows, roofs, trees, cars, and what the camera makes of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from cdzoo.data.synthetic.plan import Building, Plan
from cdzoo.data.synthetic.shapes import Points, Rect, noise, swept_outline

Draw = ImageDraw.ImageDraw
Color = tuple[int, int, int, int]  # red, green, blue, and how much texture is laid over it
SHINGLES, SHEET = 70, 24
METRES = 0.5  # per pixel
AIR = (0.62, 0.66, 0.72)  # colour of haze


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
        length = height / METRES / np.tan(self.elevation)
        return float(-np.cos(self.azimuth) * length), float(-np.sin(self.azimuth) * length)


def draw_conditions(rng: np.random.Generator, shifted: bool) -> Conditions:
    """Draw the conditions of one date.

    Args:
        rng: Source of every choice.
        shifted: Misregister the date by up to 2 pixels.
    """
    away, turn = rng.uniform(0, 2), rng.uniform(0, 2 * np.pi)
    cast = rng.normal(1, 0.035, 3)
    return Conditions(
        azimuth=rng.uniform(0.1, 0.9) * np.pi,  # from the south of a picture with north up, as north of the tropics
        elevation=np.deg2rad(rng.uniform(34, 66)),
        season=rng.uniform(0, 1),
        exposure=rng.uniform(0.78, 1.12),
        contrast=rng.uniform(0.85, 1.15),
        gamma=rng.uniform(0.85, 1.2),
        cast=(float(cast[0]), float(cast[1]), float(cast[2])),
        haze=rng.uniform(0, 0.16),
        blur=rng.uniform(0.35, 0.8),
        grain=rng.uniform(1.5, 5.0),
        shift=(away * np.cos(turn), away * np.sin(turn)) if shifted else (0.0, 0.0),
    )


class Texture:
    """Noise maps of the ground, which stay the same from date to date, and noise for the sensor."""

    def __init__(self, rng: np.random.Generator, height: int, width: int) -> None:
        half = (height + 1) // 2, (width + 1) // 2  # vegetation varies slowly: half the resolution shows all of it
        self.vegetation = 0.5 + 0.35 * noise(rng, *half, 45) + 0.2 * noise(rng, *half, 11)
        self.clumps = noise(rng, height, width, 6)
        self.fine = 0.65 * noise(rng, height, width, 2.2) + 0.55 * rng.standard_normal((height, width), dtype=np.float32)
        self.sensor = rng.standard_normal((height, width), dtype=np.float32)


def render(
    rng: np.random.Generator, plan: Plan, date: int, sky: Conditions, texture: Texture, margin: int
) -> npt.NDArray[np.uint8]:
    """Draw one date of a plan as (H, W, 3) uint8: the canvas of `texture` without `margin` pixels on each side."""
    height, width = texture.fine.shape
    ground = _soil(texture, sky.season)
    pen = ImageDraw.Draw(ground)
    # Materials are flat patches first; texture and light, which make them look real, are laid over all of them at once.
    # The fourth value of a fill is how much texture the material keeps, 255 being wild ground.
    for rect, color in plan.fields[date]:
        _polygon(pen, rect.corners(), (*_season(color, sky.season), 150))
    for rect, wear in plan.yards[date]:
        lawn = _season((98 + 30 * wear, 102 + 14 * wear, 66 + 20 * wear), sky.season)
        pen.polygon(rect.corners(0.5).ravel().tolist(), fill=(*lawn, 120), outline=(92, 80, 66, 120))  # lawn and fence
    for outline in plan.pavements:  # all before any carriageway, so that crossings stay open
        _polygon(pen, outline, (158, 154, 146, 45))
    for outline in plan.carriageways:
        _polygon(pen, outline, (124, 124, 124, 45))
    for rect in plan.paved[date]:
        tone = 172 if rect.length < 20 else 128
        _polygon(pen, rect.corners(), (tone, tone - 4, tone - 12, 50))
    shade = Image.new("L", (width, height))
    dark = ImageDraw.Draw(shade)
    for building in plan.buildings[date]:
        for wing in building.wings:
            if wing.near(width, height, 40):
                dark.polygon(swept_outline(wing.corners(), *sky.shadow(building.height)), fill=255)
    for x, y, r in plan.trees[date].tolist():
        dx, dy = sky.shadow(r * 0.55)
        _disc(dark, x + dx, y + dy, r, 230)
    for car, _ in plan.cars[date]:
        _polygon(dark, car.corners() + sky.shadow(0.7), 170)
    canvas = _lit_ground(ground, shade, texture)
    pen = ImageDraw.Draw(canvas)
    for car, color in plan.cars[date]:
        _car(pen, car, color)
    for building in plan.buildings[date]:
        _roofs(pen, building, sky, width, height)
    _crowns(pen, plan.trees[date], sky)
    return _photograph(rng, canvas, texture, sky, margin)


def _soil(texture: Texture, season: float) -> Image.Image:
    lush = _season((86, 100, 58), season)
    dry, bare = np.array((142, 130, 100), np.float32), np.array((168, 146, 116), np.float32)
    vegetation, clumps = texture.vegetation, texture.clumps[::2, ::2]
    grown = vegetation.clip(0, 1)[..., None]
    worn = (0.35 - vegetation - 0.12 * clumps).clip(0, 0.4)[..., None] / np.float32(0.4)
    color = dry + grown * (np.array(lush, np.float32) - dry)
    color += worn * (bare - color)
    height, width = texture.fine.shape
    soil = Image.fromarray(color.clip(0, 255).astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR)
    soil.putalpha(255)
    return soil


def _season(color: Iterable[float], season: float) -> tuple[int, int, int]:
    r, g, b = color
    if g >= b + 8:  # vegetation: brown when dry
        r, g, b = r + 26 * season, g + 8 * season, b + 16 * season
    return int(r), int(g), int(b)


def _lit_ground(ground: Image.Image, shade: Image.Image, texture: Texture) -> Image.Image:
    """Lay texture and shadows over the ground; the fourth band of the result, roughness, is 0."""
    picture = np.array(ground, np.float32)
    light = 1 + picture[..., 3] * (0.075 * texture.fine + 0.083 * texture.clumps) / 255
    depth = np.asarray(shade.filter(ImageFilter.BoxBlur(0.7)), np.float32) / 255
    for band, share in enumerate((0.66, 0.62, 0.54)):  # what light is left in a shadow is the blue of the sky
        picture[..., band] *= light * (1 - share * depth)
    picture[..., 3] = 0
    return Image.fromarray(picture.clip(0, 255, out=picture).astype(np.uint8))


def _roofs(pen: Draw, building: Building, sky: Conditions, width: int, height: int) -> None:
    for wing in sorted(building.wings, key=lambda w: w.length * w.width):  # the main roof over the lower wings
        if wing.near(width, height, 4):
            (_flat_roof if building.flat else _hip_roof)(pen, wing, building.color, sky)


def _flat_roof(pen: Draw, wing: Rect, color: tuple[int, int, int], sky: Conditions) -> None:
    light = 0.45 + 0.62 * math.sin(sky.elevation)
    _polygon(pen, wing.corners(), _lit(color, light * 1.12, SHEET))
    _polygon(pen, wing.corners(-1.5), _lit(color, light, SHEET))
    for i in range(int(wing.length // 16)):  # air conditioning, placed by the roof's own numbers: the same at both dates
        place = wing.at((i + 0.5) * 16 - wing.length / 2, (((i * 7 + int(wing.x)) % 11) / 11 - 0.5) * wing.width * 0.6)
        unit = Rect(*place, 3.5, 2.8, wing.angle).corners()
        _polygon(pen, unit + sky.shadow(1.0), _lit(color, light * 0.6, SHEET))
        _polygon(pen, unit, _lit((150, 150, 150), light, SHEET))


def _hip_roof(pen: Draw, wing: Rect, color: tuple[int, int, int], sky: Conditions) -> None:
    turn, long, short = wing.angle, wing.length / 2, wing.width / 2
    if short > long:
        turn, long, short = turn + math.pi / 2, short, long
    roof = Rect(wing.x, wing.y, 2 * long, 2 * short, turn)
    a, b, c, d = roof.at(-long, -short), roof.at(long, -short), roof.at(long, short), roof.at(-long, short)
    start, end = roof.at(short - long, 0), roof.at(long - short, 0)  # of the ridge
    for quarter, face in ((1, (b, c, end)), (3, (d, a, start)), (0, (c, d, start, end)), (2, (a, b, end, start))):
        towards = turn + math.pi / 2 * (1 - quarter)  # where the face looks: across the ridge first, then along it
        pen.polygon(face, fill=_lit(color, _lambert(towards, sky), SHINGLES))
    pen.line((start, end), fill=_lit(color, 1.16, SHINGLES))


def _lambert(towards: float, sky: Conditions) -> float:
    """Return the light on a roof face that slopes 27 degrees down to the direction `towards`: sky light plus sun."""
    sun = math.sin(0.47) * math.cos(sky.elevation) * math.cos(towards - sky.azimuth) + math.cos(0.47) * math.sin(sky.elevation)
    return 0.42 + 0.72 * max(0.0, sun)


def _crowns(pen: Draw, trees: Points, sky: Conditions) -> None:
    east, south = math.cos(sky.azimuth), math.sin(sky.azimuth)
    for x, y, r in trees.tolist():
        tint = int((x * 7.3 + y * 3.1) % 24) - 12  # every tree its own green, the same at both dates
        for share, reach, base in ((1.0, 0.0, (44, 54, 34)), (0.72, 0.26, (60, 72, 42)), (0.4, 0.45, (78, 90, 54))):
            color = _season((base[0] + tint, base[1] + tint, base[2] + tint / 2), sky.season * 0.6)
            _disc(pen, x + east * r * reach, y + south * r * reach, r * share, (*color, 255))


def _car(pen: Draw, car: Rect, color: tuple[int, int, int]) -> None:
    _polygon(pen, car.corners(), (*color, 0))
    x, y = car.at(-0.4, 0)
    _polygon(pen, Rect(x, y, car.length * 0.5, car.width * 0.8, car.angle).corners(), _lit(color, 0.72, 0))


def _photograph(
    rng: np.random.Generator, canvas: Image.Image, texture: Texture, sky: Conditions, margin: int
) -> npt.NDArray[np.uint8]:
    """Turn the drawn canvas into what the camera sees of it, without its margin."""
    drawn = np.array(canvas, np.float32)
    scene = drawn[..., :3] * (1 + drawn[..., 3] * (np.float32(0.26 / 255) * texture.fine))[..., None]
    image = Image.fromarray(scene.clip(0, 255, out=scene).astype(np.uint8)).point(_tone_curve(sky))
    image = image.filter(ImageFilter.BoxBlur(sky.blur))
    width, height = image.width - 2 * margin, image.height - 2 * margin
    left, top = margin - sky.shift[0], margin - sky.shift[1]
    image = image.resize((width, height), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
    photo: npt.NDArray[np.float32] = np.array(image, np.float32)
    # One field of noise serves all bands of both dates: far enough apart, its pixels are independent.
    noisy = texture.sensor[:height, :width] * np.float32(sky.grain)
    for band, offset in enumerate(rng.integers(noisy.size, size=3)):
        photo[..., band] += np.roll(noisy, offset)
    return photo.clip(0, 255, out=photo).astype(np.uint8)


def _tone_curve(sky: Conditions) -> list[int]:
    """Return what each band's 256 values become, one band after the other, as Pillow's `point` takes it."""
    values = ((np.arange(256) / 255) ** sky.gamma - 0.5) * sky.contrast + 0.5
    bands = [values * cast * sky.exposure * (1 - sky.haze) + air * sky.haze for cast, air in zip(sky.cast, AIR, strict=True)]
    curve: list[int] = (np.concatenate(bands) * 255).clip(0, 255).astype(int).tolist()
    return curve


def _lit(color: Iterable[float], light: float, roughness: int) -> Color:
    r, g, b = (int(min(255, c * light)) for c in color)
    return r, g, b, roughness


def _polygon(pen: Draw, corners: Points, fill: int | Color) -> None:
    pen.polygon(corners.ravel().tolist(), fill=fill)


def _disc(pen: Draw, x: float, y: float, r: float, fill: int | Color) -> None:
    pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)
