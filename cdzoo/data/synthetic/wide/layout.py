"""Streets and lots of a site, the ground before construction, and the buildings that change."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cdzoo.data.synthetic.buildings import bounding_circle, is_clear, is_off_streets
from cdzoo.data.synthetic.plan import Lot, Scenario
from cdzoo.data.synthetic.shapes import Points, Random, Rect
from cdzoo.data.synthetic.wide.houses import Style, build, wing
from cdzoo.data.synthetic.wide.outlines import blob
from cdzoo.data.synthetic.wide.site import NEIGHBORHOODS, House, Patch, Site

Mapping = Callable[[Points, Points], Points]
VIRGIN = ("woods", "grass", "grass", "crop", "bare", "works", "works", "works", "asis")
"""Ground of a developed area at the date without buildings."""


NARROW = 70.0
"""Extent below which the view is moved to a lot."""


@dataclass(frozen=True)
class Grid:
    """Parallel or concentric streets.

    Attributes:
        to_xy: Maps positions along and across the streets to the site.
        rows: Positions of the streets.
        cross: Position of the street that crosses them; infinite if there is none.
        reach: Largest position along the streets.
        pitch: Distance of the streets.
    """

    to_xy: Mapping
    rows: list[float]
    cross: float
    reach: float
    pitch: float


def draw_scenario(rand: Random, size: tuple[float, float], change: bool) -> Scenario:
    """Sample where and how buildings change."""
    kind = rand.choice(("development",) * 11 + ("infill",) * 7 + ("demolition",) * 2)
    direction, border = rand.uniform(0, 2 * math.pi), rand.uniform(-0.6, 0.25) * min(size)
    return Scenario(kind if change else "none", direction, border, (size[0] / 2, size[1] / 2), rand.random() < 0.6)


def draw_grid(rand: Random, site: Site) -> Grid:
    """Sample the streets of a site: bent parallels, or arcs around a center."""
    near, (width, height) = NEIGHBORHOODS[site.kind], site.size
    reach = math.hypot(width, height) / 2 + 40
    pitch = rand.uniform(*near.pitch)
    offset = rand.uniform(-0.5, 0.5) * pitch
    rows = [offset + k * pitch for k in range(math.ceil((-reach - offset) / pitch), int((reach - offset) // pitch) + 1)]
    angle, cross = rand.uniform(0, math.pi), rand.uniform(-0.5, 0.5) * max(80.0, min(site.size))
    cos, sin = math.cos(angle), math.sin(angle)
    if near.bend > 8 and rand.random() < 0.3:
        radius = rand.uniform(40, 260)

        def polar(along: Points, across: Points) -> Points:
            r, phi = np.maximum(radius + across, 1.0), along / radius + angle
            return np.stack([width / 2 - radius * cos + r * np.cos(phi), height / 2 - radius * sin + r * np.sin(phi)], axis=-1)

        rows = [row for row in rows if radius + row > 18]
        return Grid(polar, rows, cross, min(reach, math.pi * radius), pitch)
    bend, wave, phase = rand.uniform(0, near.bend), rand.uniform(120, 300), rand.uniform(0, 2 * math.pi)

    def bent(along: Points, across: Points) -> Points:
        v = across + bend * np.sin(2 * np.pi * along / wave + phase)
        return np.stack([width / 2 + along * cos - v * sin, height / 2 + along * sin + v * cos], axis=-1)

    return Grid(bent, rows, cross if rand.random() < 0.55 else math.inf, reach, pitch)


def street_lines(rand: Random, grid: Grid, town: bool) -> list[Points]:
    """Return the center lines (N, 2) of streets; some end within the site."""
    axis = np.arange(-grid.reach, grid.reach + 8, 8.0)
    lines = []
    for row in grid.rows:
        stop = len(axis) if rand.random() < 0.75 else max(4, int(rand.uniform(0.3, 0.8) * len(axis)))
        if not town or rand.random() < 0.8:
            lines.append(grid.to_xy(axis[:stop], np.full(stop, row)))
    if grid.cross < math.inf:
        across = np.arange(min(grid.rows, default=0) - 20, max(grid.rows, default=0) + 20, 8.0)
        lines.append(grid.to_xy(np.full_like(across, grid.cross), across))
    return [line for line in lines if len(line) > 1]


def draw_lots(rand: Random, site: Site, grid: Grid) -> list[Lot]:
    """Return the lots on both sides of the streets that may be visible."""
    near, street = NEIGHBORHOODS[site.kind], site.street_width
    depth = min(grid.pitch / 2 - street / 2 - 2, 110.0)
    spots = []
    for row in grid.rows:
        for side in (-1, 1):
            start, typical = -grid.reach + rand.uniform(0, 20), rand.uniform(*near.lot)
            while start < grid.reach:
                length = typical * rand.uniform(0.85, 1.25)
                middle, start = start + length / 2, start + length
                if abs(middle - grid.cross) >= length / 2 + street / 2 + 1:
                    spots.append((middle, row + side * (street / 2 + 1 + depth / 2), side, length))
    along, across, _, length_ = np.array(spots).reshape(-1, 4).T
    centers, ahead = grid.to_xy(along, across), grid.to_xy(along + 1, across)
    angles, stretch = np.arctan2(*(ahead - centers).T[::-1]).tolist(), np.hypot(*(ahead - centers).T).tolist()
    margin = np.hypot(length_[:, None], depth) / 2 + (12 if min(site.size) > NARROW else NARROW)
    visible = ((centers > -margin) & (centers < np.array(site.size) + margin)).all(1)
    return [
        Lot(x, y, angle, side, n * scale, depth)
        for (x, y), angle, scale, (_, _, side, n), inside in zip(centers.tolist(), angles, stretch, spots, visible, strict=True)
        if inside and 0.6 < scale < 1.8
    ]


def look_at_a_lot(rand: Random, site: Site, grid: Grid, lots: list[Lot]) -> tuple[Grid, list[Lot]]:
    """Move the lot nearest to the center of a narrow view towards the center; wider views are not moved."""
    if not lots or min(site.size) > NARROW:
        return grid, lots
    x, y = site.size[0] / 2, site.size[1] / 2
    nearest = min(lots, key=lambda lot: math.hypot(lot.x - x, lot.y - y))
    aim = nearest.rect().at(rand.uniform(-0.4, 0.4) * nearest.length, rand.uniform(-0.4, 0.4) * nearest.depth)
    dx, dy = x - aim[0], y - aim[1]
    old = grid.to_xy
    moved = replace(grid, to_xy=lambda along, across: old(along, across) + np.array((dx, dy)))
    return moved, [replace(lot, x=lot.x + dx, y=lot.y + dy) for lot in lots]


def add_houses(rand: Random, site: Site, lots: list[Lot], scenario: Scenario, pseudo: bool) -> list[tuple[Lot, str, Rect | None]]:
    """Add buildings that stay, appear, disappear or grow; return the lots with their changes and driveways."""
    near, style = NEIGHBORHOODS[site.kind], Style(rand, site.kind)
    density, share = rand.uniform(*near.density), rand.uniform(0.06, 0.35)
    centers = np.array([(lot.x, lot.y) for lot in lots]).reshape(-1, 2)
    changing = scenario.in_changing_area(centers).tolist()
    changes = [_draw_change(rand, scenario, inside, density, share) for inside in changing]
    if scenario.kind != "none" and lots:  # where the view is narrow, too
        nearest = int(np.argmin(np.hypot(*(centers - scenario.center).T)))
        if changes[nearest] in ("empty", "stays"):
            changes[nearest] = rand.choice(("appears", "appears", "disappears"))
    taken: list[tuple[float, float, float, Rect]] = []
    gap, result = 0.4 if site.kind == "town" else 1.5, []
    for lot, change in zip(lots, changes, strict=True):
        drive = None
        if change != "empty":
            houses, drive = build(style, lot)
            wings = tuple(w for house in houses for w in house.wings)
            if is_clear(wings, taken, gap) and is_off_streets(wings, site.streets, site.street_width - 5):
                taken.extend(map(bounding_circle, wings))
                _place(rand, site, houses, change, taken)
            else:
                change, drive = "empty", None
        result.append((lot, change, drive))
    return result


def _place(rand: Random, site: Site, houses: list[House], change: str, taken: list[tuple[float, float, float, Rect]]) -> None:
    for date, exists in enumerate((change != "appears", change != "disappears")):
        if exists:
            site.houses[date].extend(houses)
    if change == "grows":
        main = houses[0].wings[0]
        wide = rand.uniform(0.25, 0.8) * main.length
        along, side = rand.uniform(-0.4, 0.4) * (main.length - wide), rand.choice((-1, 1))
        extra = wing(main, along, side, wide, rand.uniform(3, 10) if main.length < 30 else rand.uniform(8, 25))
        own = {w for house in houses for w in house.wings}
        if is_clear((extra,), [circle for circle in taken if circle[3] not in own], 1.0) and not _covered(extra, houses):
            taken.append(bounding_circle(extra))
            site.houses[1].append(replace(houses[0], wings=(extra,)))


def _covered(extra: Rect, houses: list[House]) -> bool:
    """Return whether an extension would lie on another wing of its building."""
    x, y = extra.at(extra.length * 0.25, 0)
    for w in (w for house in houses for w in house.wings):
        dx, dy = x - w.x, y - w.y
        cos, sin = w.axis
        if abs(dx * cos + dy * sin) < w.length / 2 + 1 and abs(dy * cos - dx * sin) < w.width / 2 + 1:
            return True
    return False


def _draw_change(rand: Random, scenario: Scenario, changing: bool, density: float, share: float) -> str:
    """Sample the change of a lot: "empty", "stays", "appears", "disappears" or "grows"."""
    built, draw = rand.random() < density, rand.random()
    if scenario.kind == "none" or (scenario.kind != "infill" and not changing):
        return "stays" if built else "empty"
    if scenario.kind != "infill":
        change = "appears" if scenario.kind == "development" else "disappears"
        return "empty" if not built else change if draw < 0.95 else "stays"
    if not built:
        return "appears" if draw < share else "empty"
    return "appears" if draw < share else "disappears" if draw < 1.2 * share else "grows" if draw > 0.92 else "stays"


def lot_patches(rand: Random, site: Site, lot: Lot, change: str, drive: Rect | None, pseudo: bool) -> None:
    """Add lawn, paving and driveway of a lot, and the state of its ground while there is no building."""
    outline, near = lot.rect(), NEIGHBORHOODS[site.kind]
    present = [date for date, exists in enumerate((change != "appears", change != "disappears")) if exists and change != "empty"]
    absent = [date for date in (0, 1) if date not in present]
    state = rand.choice(("none", "none", "none", "bare", "bare", "slab", "dry", "lawn"))
    if change == "empty":
        state = rand.choice(("none",) * 6 + ("bare", "bare", "dry", "slab")) if site.kind != "country" else "none"
        absent = [0, 1] if not pseudo or rand.random() < 0.4 else [rand.choice((0, 1))]
    if state in ("bare", "slab"):
        cleared = blob(rand, lot.x, lot.y, rand.uniform(0.3, 0.55) * min(lot.length, lot.depth) + 3)
        cleared = outline.corners(-0.5) if near.yards and site.kind == "suburb" and rand.random() < 0.7 else cleared
        site.add(Patch(cleared, "bare", rand.uniform(0.85, 1.15)), absent)
    elif state != "none":
        site.add(Patch(outline.corners(), state, rand.uniform(0.85, 1.1)), absent)
    if state == "slab" and site.kind != "country":
        pad = Rect(lot.x, lot.y, rand.uniform(0.3, 0.8) * lot.length, rand.uniform(0.25, 0.5) * lot.depth, lot.angle)
        site.add(Patch(pad.corners(), "slab", rand.uniform(0.85, 1.1)), absent)
    if near.yards and present:
        tone = rand.uniform(0.8, 1.15)
        site.add(
            Patch(outline.corners(), rand.choice(("lawn", "lawn", "lawn", "dry")), tone, clear=site.kind == "suburb"), present
        )
        if site.kind == "suburb" and rand.random() < 0.6:
            _add_fence(rand, site, lot, outline, present)
    elif site.kind == "commercial" and present:
        material = rand.choice(("asphalt", "asphalt", "concrete"))
        site.add(Patch(outline.corners(-1), material, rand.uniform(0.9, 1.1)), present)
        _add_bays(rand, site, lot, present)
    elif site.kind == "town" and rand.random() < 0.7:
        site.add(Patch(outline.corners(), rand.choice(("bare", "concrete", "dry", "lawn")), rand.uniform(0.7, 1.1)), present)
    if drive is not None and present:
        material = "track" if site.kind == "country" or rand.random() < 0.1 else "drive"
        site.add(Patch(drive.corners(), material, rand.uniform(0.85, 1.08)), present)
    if present and near.yards and rand.random() < 0.14:
        spot = outline.at(rand.uniform(-0.3, 0.3) * lot.length, lot.side * lot.depth * rand.uniform(0.3, 0.42))
        pool = Rect(*spot, rand.uniform(6, 11), rand.uniform(3.5, 5.5), lot.angle + rand.choice((0.0, math.pi / 2)))
        site.add(Patch(pool.corners(1.3), "slab", 0.9), present)
        site.add(Patch(pool.corners(), "pool"), present if not pseudo or rand.random() < 0.8 else present[-1:])


def _add_fence(rand: Random, site: Site, lot: Lot, outline: Rect, dates: list[int]) -> None:
    back, front, side = lot.side * lot.depth / 2, rand.uniform(-0.1, 0.1) * lot.side * lot.depth, lot.length / 2
    fence = [outline.at(-side, front), outline.at(-side, back), outline.at(side, back), outline.at(side, front)]
    site.add(Patch(fence, "fence", rand.uniform(0.8, 1.3), 0.35, clear=False), dates)


def _add_bays(rand: Random, site: Site, lot: Lot, dates: list[int]) -> None:
    """Add the lines between parking spaces along both edges of a lot."""
    outline = lot.rect()
    for side in (-1, 1):
        curb, end = side * (lot.depth / 2 - 2), side * (lot.depth / 2 - 7)
        for along in np.arange(4 - lot.length / 2, lot.length / 2 - 4, 2.8).tolist():
            site.add(Patch([outline.at(along, curb), outline.at(along, end)], "paint", 1.0, 0.2), dates)
