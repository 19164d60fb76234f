"""`make_wide_scene`: one pair of style "wide"."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cdzoo.data.synthetic.plan import Lot, Scenario
from cdzoo.data.synthetic.shapes import Random, Rect
from cdzoo.data.synthetic.wide import land, layout
from cdzoo.data.synthetic.wide.cover import land_cover
from cdzoo.data.synthetic.wide.paint import Ground, changed_roofs, paint
from cdzoo.data.synthetic.wide.palette import BARES, draw_palette
from cdzoo.data.synthetic.wide.site import NEIGHBORHOODS, Site
from cdzoo.data.synthetic.wide.view import MARGIN, capture, displace, draw_view

KINDS = ("suburb",) * 9 + ("estate",) * 4 + ("town",) * 3 + ("commercial",) * 4 + ("country",) * 3
Image = npt.NDArray[np.uint8]
BuiltLot = tuple[Lot, str, Rect | None]
"""A lot, the change of its building, and its driveway."""


def make_wide_scene(
    seed: int | list[int],
    size: tuple[int, int],
    change: bool,
    pseudo_changes: bool,
    resolution: float | None = None,
    semantic: bool = False,
) -> tuple[Image, Image, dict[str, Image]]:
    """Generate a pair of images (H, W, 3) and its targets (H, W) by name; see `cdzoo.data.synthetic.make_scene`.

    Args:
        seed: Non-negative integer or a list of them.
        size: Height and width in pixels.
        change: Let buildings change.
        pseudo_changes: Let unlabeled objects and conditions change.
        resolution: Meters per pixel; drawn from 0.1 to 1 by default, most often near 0.5.
        semantic: Return `semantic_t1` and `semantic_t2` beside `mask`.
    """
    height, width = size
    rng = np.random.default_rng([*np.atleast_1d(seed).tolist(), 24])
    rand = Random(rng)
    if resolution is None:
        resolution = rand.uniform(0.38, 0.65) if rand.random() < 0.5 else 10 ** rand.uniform(-1, 0)
    site = lay_out(rng, rand, (width * resolution, height * resolution), change, pseudo_changes)
    canvas, scale = (height + 2 * MARGIN, width + 2 * MARGIN), 1 / resolution
    ground = Ground(rng, *canvas, scale)
    first, second = draw_view(rng, shifted=False), draw_view(rng, shifted=True)
    soil, grain = rand.choice(BARES), int(rng.integers(2**31))
    palettes = [draw_palette(rand, soil, view.season) for view in (first, second)]
    if not pseudo_changes:
        second, palettes = first, palettes[:1] * 2
    images, masks, covers = [], [], {}
    for date, (view, palette) in enumerate(zip((first, second), palettes, strict=True)):
        scene, trees = paint(site, date, view, palette, ground)
        images.append(capture(np.random.default_rng([grain, date * pseudo_changes]), scene, view))
        masks.append(displace(changed_roofs(site, date, view, canvas, scale), view))
        if semantic:
            covers[f"semantic_t{date + 1}"] = displace(land_cover(site, date, view, palette, ground, trees), view)
    return images[0], images[1], {"mask": masks[0] | masks[1], **covers}


def lay_out(rng: np.random.Generator, rand: Random, size: tuple[float, float], change: bool, pseudo: bool) -> Site:
    """Generate the contents of a site of `size` (width, height) in meters at both dates."""
    site = Site(rand.choice(KINDS), size, 0.0)
    near = NEIGHBORHOODS[site.kind]
    site.woods, site.street_width = rand.uniform(*near.woods), rand.uniform(*near.street)
    built = change or rand.random() < 0.6
    scenario = layout.draw_scenario(rand, size, change)
    land.add_fields(rand, site, pseudo)
    land.add_roads(rand, site, pseudo)
    if not built:
        site.woods = rand.uniform(-0.5, 0.9)
        if rand.random() < 0.3:
            for dates in ([0], [1]) if pseudo else ([0, 1],):
                land.add_earthworks(rand, site, dates)
        lots: list[BuiltLot] = []
    else:
        lots = _build(rand, site, scenario, pseudo)
    land.add_trees(rng, site, pseudo)
    land.add_cars(rand, site, lots, pseudo)
    return site


def _build(rand: Random, site: Site, scenario: Scenario, pseudo: bool) -> list[BuiltLot]:
    """Add streets and lots with their buildings."""
    grid = layout.draw_grid(rand, site)
    grid, free = layout.look_at_a_lot(rand, site, grid, layout.draw_lots(rand, site, grid))
    lines = layout.street_lines(rand, grid, site.kind == "town")
    site.streets = np.concatenate([*lines, np.zeros((0, 2))])
    lots = layout.add_houses(rand, site, free, scenario, pseudo)
    ground, missing = rand.choice(layout.VIRGIN), 1 if scenario.kind == "demolition" else 0
    if scenario.kind == "none" and (not pseudo or rand.random() < 0.7):
        ground = "asis"
    developed = scenario.kind in ("development", "demolition", "none") and pseudo and ground != "asis"
    streets, unpaved = [lines, lines], [False, False]
    if developed:
        land.add_works(rand, site, scenario, ground, missing)
        if scenario.new_streets or ground in ("woods", "crop"):
            streets[missing] = [piece for line in lines for piece in _outside(line, scenario)]
        elif rand.random() < 0.3:
            unpaved[missing] = True
    roads = land.draw_roads(rand, site, (streets[0], streets[1]), (unpaved[0], unpaved[1]))
    land.add_sidewalks(site, roads)
    for lot, state, drive in lots:
        if not lot.rect().near(int(site.size[0]), int(site.size[1]), 2):
            continue
        if developed and state in ("appears", "disappears", "empty") and rand.random() < 0.8:
            _developed_lot(rand, site, lot, state, drive, missing)
        else:
            layout.lot_patches(rand, site, lot, state, drive, pseudo)
    land.add_roadways(rand, site, roads)
    return lots


def _developed_lot(rand: Random, site: Site, lot: Lot, state: str, drive: Rect | None, missing: int) -> None:
    """Add the patches of a lot in a changing area, only at the date of the buildings."""
    if state == "empty":
        return
    before = len(site.ground[missing])
    layout.lot_patches(rand, site, lot, state, drive, pseudo=True)
    if rand.random() < 0.85:
        del site.ground[missing][before:]


def _outside(line: npt.NDArray[np.float64], scenario: Scenario) -> list[npt.NDArray[np.float64]]:
    """Return the pieces of a street outside the changing area."""
    kept = ~scenario.in_changing_area(line)
    cuts = np.flatnonzero(kept[1:] != kept[:-1]) + 1
    return [piece for piece, i in zip(np.split(line, cuts), np.r_[0, cuts], strict=True) if kept[i] and len(piece) > 1]
