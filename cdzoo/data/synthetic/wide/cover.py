"""Land cover of one date of a site."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cdzoo.data.synthetic.classes import BUILDING, GROUND, ROAD, TREE, WATER
from cdzoo.data.synthetic.labels import open_ground
from cdzoo.data.synthetic.shapes import Array, swept_outline
from cdzoo.data.synthetic.wide.paint import Ground, Pen, leans, near_site, roof_offset, soil_colors, vegetation
from cdzoo.data.synthetic.wide.palette import Palette
from cdzoo.data.synthetic.wide.site import Site
from cdzoo.data.synthetic.wide.view import View

CLASSES = {
    **dict.fromkeys(("asphalt", "concrete", "curb", "walk", "drive", "slab", "paint"), ROAD),
    **dict.fromkeys(("water", "pool"), WATER),
    **dict.fromkeys(("bare", "soil", "mud", "track", "fence"), GROUND),
}
"""Classes of materials; others are vegetation or ground by their color."""


def land_cover(site: Site, date: int, view: View, palette: Palette, ground: Ground, trees: Array) -> Image.Image:
    """Return the class of land cover of each pixel of the canvas, 1 to 6 as in `cdzoo.data.synthetic.classes.LAND_COVER`.

    Buildings are roofs, even under the crown of a tree, as in the change mask, and the walls that an oblique view shows.

    Args:
        site: Contents of the scene.
        date: Index of the date, 0 or 1.
        view: Acquisition of the date.
        palette: Colors of the date.
        ground: Noise maps of the canvas.
        trees: Cover of trees from `paint`.
    """
    image = vegetation(ground, view.season).point([open_ground(color) for color in zip(*soil_colors(palette), strict=True)])
    pen = Pen(image, ground.scale)
    for patch in site.ground[date]:
        value = CLASSES.get(patch.material) or open_ground(palette.colors[patch.material][:3])
        if patch.width:
            pen.line(patch.points, value, patch.width)
        else:
            pen.polygon(patch.points, value)
    image = Image.fromarray(np.where(trees >= 0.5, np.uint8(TREE), np.asarray(image)))
    pen = Pen(image, ground.scale)
    for house in site.houses[date]:
        offset = roof_offset(house, view)
        for wing in house.wings:
            if near_site(wing, site):
                pen.polygon(wing.corners(offset=offset), BUILDING)
                if leans(house, view, ground.scale):
                    pen.polygon(swept_outline(wing.corners(), *offset), BUILDING)
    return image
