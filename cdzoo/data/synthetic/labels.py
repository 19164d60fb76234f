"""Targets of the tasks: change of buildings, land cover, and damage, drawn from the plan in the frame of the first date."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from cdzoo.data.synthetic.camera import Conditions
from cdzoo.data.synthetic.classes import BUILDING, GROUND, ROAD, TREE, VEGETATION, WATER
from cdzoo.data.synthetic.objects import draw_disc, furrows, lawn_color, seasonal_color
from cdzoo.data.synthetic.plan import Building, Plan
from cdzoo.data.synthetic.render import Texture, soil_colors
from cdzoo.data.synthetic.shapes import Array, ribbons

Labels = npt.NDArray[np.uint8]

GREENNESS = 0.08
"""Smallest relative excess of green, (2G - R - B) / (R + G + B) before light and texture, of low vegetation; other open ground is
ground."""


def footprints(buildings: Sequence[Building], values: Iterable[int], size: tuple[int, int]) -> Labels:
    """Return a map of `size` (height, width) with the value of each building on its footprint and 0 elsewhere."""
    height, width = size
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    for building, value in zip(buildings, values, strict=True):
        for wing in building.wings:
            if wing.near(width, height, 0):
                draw.polygon(wing.corners(), fill=value)
    return np.asarray(image)


def building_mask(plan: Plan, date: int, size: tuple[int, int]) -> Labels:
    """Return 1 on the footprints of the buildings of a date and 0 elsewhere."""
    buildings = plan.buildings[date]
    return footprints(buildings, [1] * len(buildings), size)


def land_cover(plan: Plan, date: int, conditions: Conditions, texture: Texture, trees: Array) -> Labels:
    """Return the class of land cover (height, width) of each pixel of a canvas, 1 to 6 as in `LAND_COVER`.

    Roads include sidewalks, driveways and parking lots, with cars on them. Roofs are buildings even under the crown of a tree, as
    in the change mask. Open ground is low vegetation where its color at this date is green, see `GREENNESS`.

    Args:
        plan: Plan of the scene.
        date: Index of the date, 0 or 1.
        conditions: Conditions of the date.
        texture: Noise maps of the size of the canvas.
        trees: Cover of trees from `render`.
    """
    season = conditions.season
    image = texture.green.point([open_ground(color) for color in zip(*soil_colors(season), strict=True)])
    draw = ImageDraw.Draw(image)
    for rect, color, furrowed in plan.fields[date]:
        value = open_ground(seasonal_color(color, season))
        draw.polygon(rect.corners(), fill=value)
        for ends in furrows(rect) if furrowed else ():
            draw.line(ends, fill=value, width=2)
    for path in plan.paths[date]:
        draw.line(path, fill=GROUND, width=3)
    for rect in plan.parking_lots[date]:
        draw.polygon(rect.corners(), fill=ROAD)
    for yard in plan.yards[date]:
        draw.polygon(yard.rect.corners(), fill=open_ground(lawn_color(yard, season)))
        if yard.pool:
            x, y, r = yard.pool
            draw_disc(draw, x, y, r + 1.5, GROUND)
            draw_disc(draw, x, y, r, WATER)
    for line in plan.streets[date]:
        draw.polygon(ribbons(line, (plan.street_width + 4,))[0], fill=ROAD)
    for rect in plan.driveways[date]:
        draw.polygon(rect.corners(), fill=ROAD)
    cover = np.where(trees >= 0.5, np.uint8(TREE), np.asarray(image))
    return np.where(building_mask(plan, date, trees.shape) > 0, np.uint8(BUILDING), cover)


def open_ground(color: Sequence[float]) -> int:
    """Return the class of open ground of an RGB color."""
    r, g, b = color
    return VEGETATION if 2 * g - r - b >= GREENNESS * (r + g + b) else GROUND
