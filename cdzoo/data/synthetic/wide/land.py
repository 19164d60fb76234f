"""Ground, vegetation, roads and cars around the buildings of a site."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from cdzoo.data.synthetic.plan import Lot, Scenario
from cdzoo.data.synthetic.shapes import Point, Points, Random, Rect, ribbons
from cdzoo.data.synthetic.surroundings import CARS
from cdzoo.data.synthetic.wide.outlines import blob, circle, pairs, walk
from cdzoo.data.synthetic.wide.site import Patch, Site

AREAS = ("grass", "dry", "lawn", "crop0", "crop1", "crop2", "bare", "soil")


def add_fields(rand: Random, site: Site, pseudo: bool) -> None:
    """Add a mosaic of fields and patches of other ground, which may differ between the dates."""
    width, height = site.size
    angle, farmed = rand.uniform(0, math.pi), rand.random() < (0.55 if site.kind == "country" else 0.2)
    count = int(rand.uniform(1, 4) + width * height / 9000 * farmed)
    for _ in range(min(count, 40)):
        x, y = rand.uniform(0, width), rand.uniform(0, height)
        if farmed:
            outline = Rect(x, y, rand.uniform(40, 260), rand.uniform(25, 130), angle).corners()
        else:
            outline = blob(rand, x, y, rand.uniform(6, 60))
        materials = (rand.choice(AREAS), rand.choice(AREAS))
        same, furrows, tone = not pseudo or rand.random() < 0.5, farmed and rand.random() < 0.7, rand.uniform(0.8, 1.15)
        for date in (0, 1):
            site.add(Patch(outline, materials[0 if same else date], tone, clear=farmed, furrows=furrows), [date])
    if rand.random() < 0.16:
        pond = blob(rand, rand.uniform(0, width), rand.uniform(0, height), rand.uniform(8, 90), 20)
        for date in (0, 1):
            site.add(Patch(pond, "water"), [date])
    if rand.random() < 0.06:
        site.add(Patch(walk(rand, site.size, 40, 14, 0.2), "water", 1.0, rand.uniform(4, 40)))


def add_works(rand: Random, site: Site, scenario: Scenario, ground: str, date: int) -> None:
    """Cover the changing area at one date by woods, crops or a construction site."""
    if ground == "asis":
        return
    reach = 2 * (site.size[0] + site.size[1])
    x = scenario.center[0] + math.cos(scenario.direction) * (scenario.border + reach / 2)
    y = scenario.center[1] + math.sin(scenario.direction) * (scenario.border + reach / 2)
    area = Rect(x, y, reach, reach, scenario.direction).corners()
    material = {"woods": "grass", "works": "bare", "crop": rand.choice(("crop0", "crop1", "soil"))}.get(ground, ground)
    site.add(Patch(area, material, rand.uniform(0.85, 1.15), clear=ground != "woods", furrows=ground == "crop"), [date])
    if ground in ("works", "bare"):
        add_earthworks(rand, site, [date], scenario)


def add_earthworks(rand: Random, site: Site, dates: list[int], scenario: Scenario | None = None) -> None:
    """Add tracks, heaps, mud and pads of bare ground."""
    width, height = site.size
    for _ in range(int(rand.uniform(2, 6 + min(14, width * height / 2500)))):
        x, y = rand.uniform(0, width), rand.uniform(0, height)
        if scenario is None or scenario.in_changing_area(np.array([(x, y)]))[0]:
            site.add(
                Patch(
                    blob(rand, x, y, rand.uniform(2, 22)),
                    rand.choice(("bare", "mud", "soil", "track", "dry")),
                    rand.uniform(0.8, 1.2),
                ),
                dates,
            )
    for _ in range(int(rand.uniform(1, 6))):
        path = walk(rand, site.size, 20, 7, 0.15)
        if scenario is None or scenario.in_changing_area(np.array(path)).all():
            site.add(Patch(path, "track", rand.uniform(0.85, 1.2), rand.uniform(1.5, 6)), dates)


@dataclass(frozen=True)
class Roads:
    """Center lines (N, 2) of the streets at both dates, and how they are built.

    Attributes:
        lines: Center lines at each date.
        unpaved: Whether the streets of each date are of dirt.
        material: Material of the roadways.
        verge: Width of the strips of grass between roadways and sidewalks; 0 without sidewalks.
        tone: Brightness factor.
        bulb: Radius of the turning circles at the ends; 0 without.
    """

    lines: tuple[list[Points], list[Points]]
    unpaved: tuple[bool, bool]
    material: str
    verge: float
    tone: float
    bulb: float


def draw_roads(rand: Random, site: Site, lines: tuple[list[Points], list[Points]], unpaved: tuple[bool, bool]) -> Roads:
    """Sample how the streets of a site are built."""
    town, suburb = site.kind == "town" and rand.random() < 0.4, site.kind == "suburb"
    verge = rand.uniform(1.2, 3) if suburb and rand.random() < 0.7 else 0.0
    material = rand.choice(("asphalt", "asphalt", "concrete"))
    bulb = rand.uniform(0.9, 1.4) * site.street_width if suburb else 0.0
    return Roads(lines, (unpaved[0] or town, unpaved[1] or town), material, verge, rand.uniform(0.85, 1.15), bulb)


def add_sidewalks(site: Site, roads: Roads) -> None:
    """Add sidewalks and verges, which driveways cross."""
    width = site.street_width + 2 * roads.verge
    for date in (0, 1):
        if roads.verge and not roads.unpaved[date]:
            for line in roads.lines[date]:
                outer, inner = ribbons(line, (width + 2.6, width))
                site.add(Patch(pairs(outer), "walk"), [date])
                site.add(Patch(pairs(inner), "lawn"), [date])


def add_roadways(rand: Random, site: Site, roads: Roads) -> None:
    """Add roadways with curbs and markings."""
    street, marked = site.street_width, rand.random() < 0.3
    for date in (0, 1):
        dirt, lines = roads.unpaved[date], roads.lines[date]
        for extra, material in ((0.0, "track"),) if dirt else ((0.9, "curb"), (0.0, roads.material)):
            for line in lines:
                site.add(Patch(pairs(ribbons(line, (street + extra,))[0]), material, roads.tone), [date])
                if roads.bulb:
                    x, y = line[-1].tolist()
                    site.add(Patch(circle(x, y, roads.bulb + 0.5 * extra), material, roads.tone), [date])
        for line in lines if marked and not dirt else ():
            for start, end in zip(line[::2].tolist(), line[1::2].tolist(), strict=False):
                site.add(Patch([tuple(start), tuple(end)], "paint", 0.95, 0.25), [date])


def add_roads(rand: Random, site: Site, pseudo: bool) -> None:
    """Add a highway, paths and strips of dirt."""
    if rand.random() < 0.15:
        path = walk(rand, site.size, 60, 12, 0.03)
        width = rand.uniform(8, 26)
        site.add(Patch(path, "dry", 1.0, width * 1.8))
        site.add(Patch(path, rand.choice(("asphalt", "concrete")), 1.0, width))
        site.add(Patch(path, "paint", 0.95, 0.3))
    for _ in range(int(rand.uniform(0, 3.5))):
        path, width = walk(rand, site.size, 24, rand.uniform(4, 10), 0.15), rand.uniform(0.8, 4)
        dates = [date for date in (0, 1) if not pseudo or rand.random() < 0.75]
        site.add(Patch(path, rand.choice(("track", "track", "walk", "bare")), rand.uniform(0.85, 1.15), width), dates)


def add_trees(rng: np.random.Generator, site: Site, pseudo: bool) -> None:
    """Add single trees on free ground, alone and in groups."""
    width, height = site.size
    area = min(width * height, 200_000.0)
    spots = [rng.uniform((-4, -4), (width + 4, height + 4), (rng.poisson(area / rng.uniform(150, 2500)), 2))]
    for _ in range(rng.poisson(area / 6000)):
        spots.append(rng.normal(rng.uniform((0, 0), (width, height)), rng.uniform(4, 14), (rng.integers(6, 20), 2)))
    points = np.concatenate(spots)
    radius = rng.gamma(5, rng.uniform(0.25, 0.6), len(points)).clip(0.7, 7)
    growth = rng.uniform(0.85, 1.25, len(points)) if pseudo else np.ones(len(points))
    lost = rng.random((2, len(points))) < 0.08 * pseudo
    trees = []
    for date in (0, 1):
        kept = _free(site, date, points) & ~lost[date]
        trees.append(np.column_stack([points, radius * growth if date else radius])[kept])
    site.trees = (trees[0], trees[1])


def _free(site: Site, date: int, points: Points) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which points are on ground without buildings and paving, on a map of 2 m."""
    width, height = (int(side / 2) + 6 for side in site.size)
    image = Image.new("L", (width, height), 1)
    draw = ImageDraw.Draw(image)
    for patch in site.ground[date]:
        if patch.material in ("asphalt", "concrete", "drive", "slab", "pool", "water", "curb", "walk"):
            outline = [(x / 2 + 3, y / 2 + 3) for x, y in patch.points]
            if patch.width:
                draw.line(outline, fill=0, width=max(1, round(patch.width / 2)))
            else:
                draw.polygon(outline, fill=0)
    for house in site.houses[date]:
        for wing in house.wings:
            draw.polygon([(x / 2 + 3, y / 2 + 3) for x, y in wing.corners(1.2)], fill=0)
    rows, columns = (points[:, 1] / 2 + 3).astype(int), (points[:, 0] / 2 + 3).astype(int)
    return np.asarray(image)[rows.clip(0, height - 1), columns.clip(0, width - 1)] > 0


def add_cars(rand: Random, site: Site, lots: list[tuple[Lot, str, Rect | None]], pseudo: bool) -> None:
    """Add cars on driveways, on parking lots and along streets."""
    busy, streets = rand.uniform(0.05, 0.7), site.streets[:: max(1, len(site.streets) // 300)]
    for date in (0, 1):
        present = [lot for lot in lots if lot[1] not in ("empty", ("appears", "disappears")[date])]
        spots: list[tuple[Point, float]] = []
        for lot, _, drive in present:
            if drive is not None and rand.random() < 0.5:
                spots.append((drive.at(rand.uniform(-0.2, 0.2) * drive.width, 0), drive.angle + math.pi / 2))
            elif site.kind == "commercial":
                for along in np.arange(5.4 - lot.length / 2, lot.length / 2 - 4, 2.8).tolist():
                    spots += [
                        (lot.rect().at(along, s * (lot.depth / 2 - 4.5)), lot.angle + math.pi / 2)
                        for s in (-1, 1)
                        if rand.random() < busy
                    ]
        for (x, y), (u, v) in zip(streets[:-1].tolist(), streets[1:].tolist(), strict=True):
            if rand.random() < 0.1 and math.hypot(u - x, v - y) < 20:
                angle, lane = math.atan2(v - y, u - x), site.street_width * rand.choice((-0.3, 0.3))
                spots.append(((x - lane * math.sin(angle), y + lane * math.cos(angle)), angle))
        for (x, y), angle in spots:
            if site.kind == "commercial" and rand.random() < 0.05:
                car = Rect(x, y, rand.uniform(8, 16), rand.uniform(2.4, 2.8), angle), rand.choice(CARS[:2] + CARS[5:])
            else:
                car = Rect(x, y, rand.uniform(4, 5.4), rand.uniform(1.8, 2.2), angle), rand.choice(CARS)
            if car[0].near(int(site.size[0]), int(site.size[1]), 3):
                site.cars[date].append(car)
        if not pseudo:
            site.cars[1].extend(site.cars[0])
            return
