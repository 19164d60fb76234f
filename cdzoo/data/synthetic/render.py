"""Rendering of one date of a plan: ground, streets, shadows, roofs and woods."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from cdzoo.data.synthetic import objects
from cdzoo.data.synthetic.camera import Conditions, capture
from cdzoo.data.synthetic.objects import Draw
from cdzoo.data.synthetic.plan import Plan
from cdzoo.data.synthetic.shapes import Array, noise, noise_sum, ribbons, shifted, swept_outline

GREEN = (0.0, 0.22, 0.42, 0.75, 1.0)
SOIL = ((172, 140, 112, 74, 56), (157, 128, 104, 82, 68), (130, 103, 80, 56, 44))
"""Red, green and blue of open ground at the vegetation levels `GREEN`, from bare to lush."""

SUNLIT = (0.80, 0.77, 0.70)
"""Fraction of R, G, B that a shadow removes; ambient light is bluish."""


class Texture:
    """Noise maps (H, W) of the ground, shared by both dates.

    Attributes:
        green: Grayscale image of the vegetation, from 0 (bare) to 255 (lush).
        clumps: Texture of grass and bushes, mean 0 and standard deviation 1.
        fine: Texture at pixel scale, mean 0 and standard deviation 1.
        wood: Density of woods, mean 0 and standard deviation near 1.
    """

    def __init__(self, rng: np.random.Generator, height: int, width: int) -> None:
        self.clumps = noise(rng, height, width, 5)
        green = noise_sum(rng, height, width, {90: 0.32, 18: 0.22}) + np.float32(rng.uniform(0.25, 0.85))
        green += np.float32(0.07) * self.clumps
        self.green = Image.fromarray((255 * green).clip(0, 255).astype(np.uint8))
        # Uniform bytes are much faster than normal numbers and look the same at pixel scale.
        white = np.frombuffer(rng.bytes(height * width), np.uint8).reshape(height, width) * np.float32(1 / 74)
        self.fine = np.float32(0.7) * (noise(rng, height, width, 2.0) + white - np.float32(127.5 / 74))
        self.wood = noise_sum(rng, height, width, {80: 0.7, 20: 0.45}) + np.float32(0.35) * self.clumps


def render(
    rng: np.random.Generator, plan: Plan, date: int, conditions: Conditions, texture: Texture
) -> tuple[npt.NDArray[np.uint8], Array]:
    """Render one date of a plan.

    Args:
        rng: Random generator of the sensor noise.
        plan: Plan to render.
        date: Index of the date, 0 or 1.
        conditions: Acquisition conditions.
        texture: Noise maps of the size of the canvas.

    Returns:
        The image (H, W, 3), without the margin of the canvas, and the cover of trees (height, width) of the canvas, in [0, 1].
    """
    canvas = height, width = texture.fine.shape
    ground, shade = _soil(texture, conditions.season), Image.new("L", (width, height))
    built = Image.new("L", (width, height), 255)  # 0 where woods cannot grow
    draw, dark, clear = ImageDraw.Draw(ground), ImageDraw.Draw(shade), ImageDraw.Draw(built)
    # Materials are drawn in flat colors; texture and light are applied to the whole canvas afterwards.
    _draw_land(draw, dark, clear, plan, date, conditions)
    _draw_streets(draw, clear, plan, date)
    for car, color in plan.cars[date]:
        objects.draw_car(draw, car, color, conditions)
    wings = [(b, wing) for b in plan.buildings[date] for wing in b.wings if wing.near(width, height, 40)]
    for building, wing in wings:
        dark.polygon(swept_outline(wing.corners(), *conditions.shadow_offset(building.height)), fill=255)
    for _, wing in wings:  # roofs are shaded separately
        dark.polygon(wing.corners(), fill=0)
    for building in plan.buildings[date]:
        objects.draw_building(draw, building, conditions, canvas)
    for outline, color in plan.debris if date else ():
        draw.polygon(outline, fill=objects.lit_color(color, conditions.roof_light(0.0, pitch=0.0), objects.SHINGLES))
    crowns = Image.new("L", (width, height))
    _draw_crowns(ImageDraw.Draw(crowns), plan.trees[date])
    canopy = _canopy(built, crowns, plan, date, texture)
    cover = ((canopy - 0.34) * 5).clip(0, 1)
    scene = _apply_light(ground, shade, canopy, cover, conditions, texture)
    return capture(rng, scene, conditions), cover


def soil_colors(season: float) -> list[list[int]]:
    """Return red, green and blue of open ground, each for 256 values of `Texture.green`."""
    green = (np.arange(256) / 255 - 0.35 * season + 0.1).clip(0, 1)
    return [np.interp(green, GREEN, values).astype(int).tolist() for values in SOIL]


def _soil(texture: Texture, season: float) -> Image.Image:
    """Return open ground as RGB with full texture strength in the fourth band."""
    bands = [texture.green.point(values) for values in soil_colors(season)]
    return Image.merge("RGBA", [*bands, Image.new("L", texture.green.size, 255)])


def _draw_land(draw: Draw, dark: Draw, clear: Draw, plan: Plan, date: int, conditions: Conditions) -> None:
    for rect, color, furrowed in plan.fields[date]:
        tone = objects.seasonal_color(color, conditions.season)
        corners = rect.corners()
        draw.polygon(corners, fill=(*tone, 170))
        clear.polygon(corners, fill=0)
        if furrowed:
            for ends in objects.furrows(rect):
                draw.line(ends, fill=objects.lit_color(tone, 0.86, 170), width=2)
    for path in plan.paths[date]:
        draw.line(path, fill=(164, 150, 124, 150), width=3)
    for parking_lot in plan.parking_lots[date]:
        objects.draw_parking_lot(draw, parking_lot, plan.concrete)
        clear.polygon(parking_lot.corners(4), fill=0)
    for yard in plan.yards[date]:
        objects.draw_yard(draw, dark, yard, conditions)
        clear.polygon(yard.rect.corners(2), fill=0)


def _draw_streets(draw: Draw, clear: Draw, plan: Plan, date: int) -> None:
    asphalt = (152, 150, 144, objects.PAVED) if plan.concrete else (98, 98, 98, objects.PAVED)
    width = plan.street_width
    outlines = [ribbons(line, (width + 14, width + 4, width)) for line in plan.streets[date]]
    for verge, sidewalk, _ in outlines:  # before all roadways, so that intersections stay open
        clear.polygon(verge, fill=0)
        draw.polygon(sidewalk, fill=(184, 180, 170, objects.PAVED))
    for rect in plan.driveways[date]:
        draw.polygon(rect.corners(), fill=(208, 204, 194, objects.PAVED))
    for _, _, roadway in outlines:
        draw.polygon(roadway, fill=asphalt)
    if plan.industrial:
        for line in plan.streets[date]:
            for start, end in zip(line[::2].tolist(), line[1::2].tolist(), strict=False):
                draw.line((*start, *end), fill=(206, 196, 140, objects.PAVED))


def _draw_crowns(draw: Draw, trees: npt.NDArray[np.float64]) -> None:
    """Draw single trees as stepped domes of heights up to 255."""
    for share, height in ((1.0, 120), (0.78, 180), (0.45, 230)):
        for x, y, r in trees.tolist():
            objects.draw_disc(draw, x, y, r * share, height)


def _apply_light(
    ground: Image.Image, shade: Image.Image, canopy: Array, cover: Array, conditions: Conditions, texture: Texture
) -> Image.Image:
    """Apply texture and shadows to the ground and draw trees of the heights `canopy` (H, W) over it where `cover` is positive."""
    *bands, rough = (np.asarray(band) for band in ground.split())
    dx, dy = (round(d) for d in conditions.shadow_offset(2.2))
    dark = np.maximum(np.asarray(shade) * np.float32(1 / 255), np.float32(0.92) * shifted(cover, dx, dy))
    light = rough * ((0.14 / 255) * texture.fine + (0.1 / 255) * texture.clumps)
    light += 1
    # Canopies are brighter on slopes that face the sun.
    east, south = (round(2 * f) for f in (math.cos(conditions.azimuth), math.sin(conditions.azimuth)))
    leaves = 0.45 + 1.84 * canopy - 1.5 * shifted(canopy, -east, -south) + 0.16 * texture.fine
    leaves = leaves.clip(0.12, 1.5) * cover
    light *= 1 - cover
    lit_bands = []
    for band, share, green in zip(bands, SUNLIT, objects.seasonal_color((56, 66, 40), conditions.season * 0.5), strict=True):
        value = (band * light) * (1 - share * dark)
        value += green * leaves
        lit_bands.append(Image.fromarray(np.minimum(value, 255, out=value).astype(np.uint8)))
    return Image.merge("RGB", lit_bands)


def _canopy(built: Image.Image, crowns: Image.Image, plan: Plan, date: int, texture: Texture) -> Array:
    """Return the height (H, W) of woods and single trees, about 0 to 1; woods grow where nothing is built."""
    single = np.asarray(crowns) * ((0.18 / 255) * texture.clumps + ((0.1 / 255) * texture.fine + (1 / 255)))
    if plan.tree_cover <= 0:
        return single
    wood = (0.4 * texture.wood + (0.34 - 0.4 * (1.2 - 1.7 * plan.tree_cover) + plan.growth[date])).clip(0, 0.8)
    return np.maximum(wood * (np.asarray(built) * np.float32(1 / 255)), single)
