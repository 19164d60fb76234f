"""Rendering of one date of a site, and of the mask of its changed roofs."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cdzoo.data.synthetic.shapes import Array, Point, Rect, noise, noise_sum, shifted, swept_outline
from cdzoo.data.synthetic.wide.palette import STOPS, Palette
from cdzoo.data.synthetic.wide.roofs import draw_roof
from cdzoo.data.synthetic.wide.site import House, Site
from cdzoo.data.synthetic.wide.view import MARGIN, View

SUNLIT = (0.86, 0.82, 0.74)
"""Largest fraction of R, G, B that a shadow removes; ambient light is bluish."""
CROWN = 7.0  # typical radius of the crowns in the atlas, in pixels


class Pen:
    """Draws shapes given in meters on an image with a margin.

    Args:
        image: Image to draw on.
        scale: Pixels per meter.
    """

    def __init__(self, image: Image.Image, scale: float) -> None:
        self.draw, self.scale = ImageDraw.Draw(image), scale

    def to_pixels(self, points: Iterable[Point]) -> list[Point]:
        """Return points of the site as points of the image."""
        k, margin = self.scale, MARGIN
        return [(x * k + margin - 0.5, y * k + margin - 0.5) for x, y in points]

    def polygon(self, points: Iterable[Point], fill: int | tuple[int, ...]) -> None:
        """Fill a polygon."""
        self.draw.polygon(self.to_pixels(points), fill=fill)

    def line(self, points: Iterable[Point], fill: int | tuple[int, ...], width: float) -> None:
        """Draw a line of `width` meters, at least one pixel; lines of less than 0.45 pixels are left out."""
        pixels = width * self.scale
        if pixels > 0.45:
            self.draw.line(self.to_pixels(points), fill=fill, width=max(1, round(pixels)), joint="curve" if pixels > 12 else None)


@functools.cache
def _atlas() -> Array:
    """Return the heights (1024, 1024) of a closed canopy, in [0, 1]; the same in every process."""
    rng, side = np.random.default_rng(24), 1024
    image = Image.new("L", (side, side), 20)
    draw = ImageDraw.Draw(image)
    points = rng.uniform(0, side, (11000, 2))
    radii = CROWN * rng.gamma(8, 1 / 8, len(points))
    tops = rng.uniform(0.4, 1, len(points))
    for i in np.argsort(tops):
        (x, y), r = points[i], radii[i]
        for share, level in ((1.0, 0.45), (0.8, 0.72), (0.55, 0.9), (0.3, 1.0)):
            s = share * r
            draw.ellipse((x - s, y - s, x + s, y + s), fill=int(255 * level * tops[i]))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), np.float32) / np.float32(255)


class Ground:
    """Noise maps (H, W) shared by both dates.

    Args:
        rng: Random generator.
        height: Height of the canvas in pixels.
        width: Width of the canvas in pixels.
        scale: Pixels per meter.
    """

    def __init__(self, rng: np.random.Generator, height: int, width: int, scale: float) -> None:
        self.size, self.scale = (height, width), scale
        clump = max(2.0, rng.uniform(1, 4) * scale)
        self.clumps = noise(rng, height, width, clump) if clump < 5 else noise_sum(rng, height, width, {clump: 1.0})
        coarse = {max(8.0, rng.uniform(30, 90) * scale): rng.uniform(0.1, 0.3), max(5.0, 9 * scale): rng.uniform(0.08, 0.22)}
        self.green = noise_sum(rng, height, width, coarse) + np.float32(rng.uniform(0.2, 0.85)) + np.float32(0.08) * self.clumps
        white = np.frombuffer(rng.bytes(height * width), np.uint8).reshape(height, width) * np.float32(1 / 74)
        self.fine = np.float32(0.7) * (noise(rng, height, width, 2.0) + white - np.float32(127.5 / 74))
        self.mottle = np.float32(rng.uniform(0, 0.35))
        self.roughness = np.float32(rng.uniform(0.4, 1.5))
        self._furrows = rng.uniform(0, np.pi), max(2.2, rng.uniform(0.8, 4.5) * scale), np.float32(rng.uniform(0.03, 0.16))
        self._seed = int(rng.integers(2**31))

    # Many scenes have no woods or no fields.

    @functools.cached_property
    def rows(self) -> Array:
        """Brightness of furrows, mean 0."""
        angle, period, strength = self._furrows
        y, x = (np.arange(n, dtype=np.float32) for n in self.size)
        phase = (x * np.float32(np.cos(angle) * 2 * np.pi / period)) + (y * np.float32(np.sin(angle) * 2 * np.pi / period))[
            :, None
        ]
        return np.sin(phase + np.float32(0.5) * self.clumps) * strength

    @functools.cached_property
    def wood(self) -> Array:
        """Density of woods, mean 0 and standard deviation near 1."""
        cells = {max(10.0, 40 * self.scale): 0.7, max(6.0, 10 * self.scale): 0.45}
        return noise_sum(np.random.default_rng(self._seed), *self.size, cells) + np.float32(0.3) * self.clumps

    @functools.cached_property
    def trees(self) -> Array:
        """Heights of a closed canopy, in [0, 1]."""
        return _crop(np.random.default_rng(self._seed + 1), *self.size, self.scale)

    @functools.cached_property
    def mixed(self) -> Array:
        """Noise that says which trees lose their leaves."""
        return noise_sum(np.random.default_rng(self._seed + 2), *self.size, {max(4.0, 6 * self.scale): 1.0})


def _crop(rng: np.random.Generator, height: int, width: int, scale: float) -> Array:
    """Return a random part of the canopy, scaled to the size of the pixels."""
    zoom = CROWN / max(1.2, rng.uniform(1.8, 4.5) * scale)
    atlas = _atlas()
    tall, wide = math.ceil(height * zoom) + 2, math.ceil(width * zoom) + 2
    top, left = (int(rng.integers(0, max(1, 1024 - side))) for side in (tall, wide))
    if top + tall > 1024 or left + wide > 1024:
        atlas = np.tile(atlas, (math.ceil((top + tall) / 1024), math.ceil((left + wide) / 1024)))
    part = Image.fromarray(np.ascontiguousarray(atlas[top : top + tall, left : left + wide]))
    return np.asarray(part.resize((width, height), Image.Resampling.BILINEAR, box=(0, 0, width * zoom, height * zoom)))


def paint(site: Site, date: int, view: View, palette: Palette, ground: Ground) -> tuple[Image.Image, Array]:
    """Render one date of a site with its margin, before the sensor; return the image and the cover of trees (H, W) in [0, 1]."""
    height, width = ground.size
    image = _soil(ground, palette, view.season)
    layers = [Image.new("L", (width, height), value) for value in (0, 255, 0, 0)]
    shade, free, rows, crowns = layers
    pen, dark, clear, furrows = (Pen(layer, ground.scale) for layer in (image, shade, free, rows))
    plowed = False
    for patch in site.ground[date]:
        r, g, b, rough = palette.colors[patch.material]
        t = patch.tone
        color = min(255, int(r * t)), min(255, int(g * t)), min(255, int(b * t)), rough
        plowed |= patch.furrows
        if patch.width:
            pen.line(patch.points, color, patch.width)
            if patch.clear and site.woods > 0:
                clear.line(patch.points, 0, patch.width)
            continue
        points = pen.to_pixels(patch.points)
        pen.draw.polygon(points, fill=color)
        if patch.clear and site.woods > 0:
            clear.draw.polygon(points, fill=0)
        if plowed:
            furrows.draw.polygon(points, fill=255 * patch.furrows)
    _draw_cars(pen, dark, site, date, view)
    houses = [house for house in site.houses[date] if any(near_site(w, site) for w in house.wings)]
    _draw_houses(pen, dark, clear, houses, view, ground.scale)
    _draw_crowns(Pen(crowns, ground.scale), site.trees[date].tolist())
    crowns = crowns.filter(ImageFilter.BoxBlur(0.7))
    return _apply_light(image, (shade, free, rows, crowns), plowed, site.woods, view, palette, ground)


def _draw_crowns(pen: Pen, trees: list[list[float]]) -> None:
    """Draw single trees as stepped domes of heights up to 255."""
    k = pen.scale
    for share, level in ((1.0, 120), (0.78, 180), (0.45, 230)):
        for x, y, r in trees:
            s = share * r * k
            if s > 0.5:
                u, v = x * k + MARGIN, y * k + MARGIN
                pen.draw.ellipse((u - s, v - s, u + s, v + s), fill=level)


def near_site(wing: Rect, site: Site) -> bool:
    """Return whether a wing may be visible on the canvas of a site."""
    return wing.near(int(site.size[0]), int(site.size[1]), 14)


def vegetation(ground: Ground, season: float) -> Image.Image:
    """Return the vegetation of open ground in a season, from 0 (bare) to 255 (lush)."""
    return Image.fromarray(((ground.green + np.float32(0.6 * season)) * 255).clip(0, 255).astype(np.uint8))


def soil_colors(palette: Palette) -> list[list[int]]:
    """Return red, green and blue of open ground, each for the 256 values of `vegetation`."""
    steps = np.arange(256) / 255
    return [np.interp(steps, STOPS, [c[i] for c in palette.ramp]).astype(int).tolist() for i in range(3)]


def _soil(ground: Ground, palette: Palette, season: float) -> Image.Image:
    """Return open ground as RGB with the texture strength in the fourth band."""
    level = vegetation(ground, season)
    bands = [level.point(values) for values in soil_colors(palette)]
    return Image.merge("RGBA", [*bands, Image.new("L", level.size, 220)])


def _draw_cars(pen: Pen, dark: Pen, site: Site, date: int, view: View) -> None:
    dx, dy = view.shadow(0.9)
    for car, color in site.cars[date]:
        dark.polygon(car.corners(offset=(dx, dy)), 255)
        dark.polygon(car.corners(), 0)
        pen.polygon(car.corners(), (*color, 0))
        if pen.scale > 1.5:
            r, g, b = (c // 3 for c in color)
            pen.polygon(type(car)(*car.at(0.5, 0), car.length * 0.2, car.width * 0.8, car.angle).corners(), (r, g, b, 0))


def _draw_houses(pen: Pen, dark: Pen, clear: Pen, houses: Sequence[House], view: View, scale: float) -> None:
    dx, dy = view.lean
    for house in houses:
        for wing in house.wings:
            dark.polygon(swept_outline(wing.corners(), *view.shadow(house.height * (1.0 if house.roof == "flat" else 1.25))), 255)
    for house in houses:  # walls and roofs are shaded separately
        leaning, offset = leans(house, view, scale), roof_offset(house, view)
        for wing in house.wings:
            outline = swept_outline(wing.corners(), *offset) if leaning else wing.corners()
            dark.polygon(outline, 0)
            clear.polygon(outline, 0)
            if leaning:
                light = view.light(math.pi / 2, math.atan2(-dy, -dx))
                r, g, b = (min(255, int(c * light)) for c in house.wall)
                pen.polygon(outline, (r, g, b, 30))
        draw_roof(pen, dark, house, offset, view)


def roof_offset(house: House, view: View) -> Point:
    """Return the displacement of a roof by an oblique view, in meters."""
    return view.lean[0] * house.height, view.lean[1] * house.height


def leans(house: House, view: View, scale: float) -> bool:
    """Return whether the walls of a house are visible."""
    return math.hypot(*view.lean) * house.height * scale > 0.7


def _apply_light(
    image: Image.Image, layers: tuple[Image.Image, ...], plowed: bool, woods: float, view: View, palette: Palette, ground: Ground
) -> tuple[Image.Image, Array]:
    """Apply texture, rows and shadows to the ground and draw trees over it; return the image and the cover of trees (H, W)."""
    *bands, rough = (np.asarray(band) for band in image.split())
    shade, free, rows, crowns = layers
    canopy = np.asarray(crowns) * ((0.15 / 255) * ground.clumps + ((0.1 / 255) * ground.fine + np.float32(1 / 255)))
    if woods > 0:
        dense = ((ground.wood + np.float32(2.2 * woods - 1.1)) * 3).clip(0, 1) * (np.asarray(free) * np.float32(1 / 255))
        np.maximum(canopy, ground.trees * dense, out=canopy)
    cover = ((canopy - np.float32(0.25)) * 6).clip(0, 1)
    dx, dy = (round(d * ground.scale) for d in view.shadow(2.5))
    depth = np.maximum(np.asarray(shade) * np.float32(1 / 255), np.float32(0.92) * shifted(cover, dx, dy))
    depth *= np.float32(1.15 * (1 - view.ambient))
    light = rough * (ground.fine * (ground.roughness * np.float32(0.13 / 255)) + ground.clumps * np.float32(0.1 / 255))
    light += 1 + ground.mottle * (ground.green - np.float32(0.5))
    if plowed:
        light += np.asarray(rows) * (ground.rows * np.float32(1 / 255))
    leaves, trees = _leaves(canopy, cover, view, ground), cover
    bare = None
    if view.leafless:
        bare = ((ground.mixed + np.float32(3 * view.leafless - 1.6)) * 2).clip(0, 1)
        cover = cover * (1 - np.float32(0.4) * bare)
    light *= 1 - cover
    result = []
    for band, share, leaf, twig in zip(bands, SUNLIT, palette.tree, palette.wood, strict=True):
        value = depth * np.float32(-share)
        value += 1
        value *= light
        value *= band
        value += leaves * leaf if bare is None else leaves * (bare * np.float32(twig * 0.7 - leaf) + leaf)
        result.append(Image.fromarray(np.clip(value, 0, 255, out=value).astype(np.uint8)))
    return Image.merge("RGB", result), trees


def _leaves(canopy: Array, cover: Array, view: View, ground: Ground) -> Array:
    """Return the brightness of the canopy, higher on slopes that face the sun."""
    step = max(1.0, 0.8 * ground.scale)
    east, south = (round(step * f) for f in (math.cos(view.azimuth), math.sin(view.azimuth)))
    leaves = canopy - shifted(canopy, -east, -south)
    leaves *= 1.9
    leaves += canopy * np.float32(0.9)
    leaves += ground.fine * np.float32(0.14)
    leaves += np.float32(0.3)
    return leaves.clip(0.5 * view.ambient, 2.0, out=leaves) * cover


def changed_roofs(site: Site, date: int, view: View, canvas: tuple[int, int], scale: float) -> Image.Image:
    """Return a mask of the canvas (height, width), 1 at roofs of buildings that exist at this date only."""
    image = Image.new("L", (canvas[1], canvas[0]))
    pen, others = Pen(image, scale), set(site.houses[1 - date])
    for house in site.houses[date]:
        offset = roof_offset(house, view)
        for wing in house.wings:
            if near_site(wing, site):
                pen.polygon(wing.corners(offset=offset), int(house not in others))
    return image
