"""Generation of buildings, their change between the dates, and the yards, driveways and parking lots that belong to them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from cdzoo.data.synthetic.plan import RGB, Building, Lot, Plan, Scenario, Yard
from cdzoo.data.synthetic.shapes import Points, Random, Rect, inside_any

ROOFS: tuple[RGB, ...] = ((98, 97, 93), (108, 105, 98), (88, 87, 87), (122, 116, 106), (130, 120, 106), (116, 94, 82))
FLAT_ROOFS: tuple[RGB, ...] = (
    (226, 226, 222), (206, 207, 207), (172, 175, 177), (240, 240, 237), (140, 146, 148), (128, 142, 158), (168, 160, 146)
)  # fmt: skip
_Circle = tuple[float, float, float, Rect]  # x, y and radius of the bounding circle of a footprint, and the footprint
GAP = 3.0  # minimum distance between buildings in pixels


def add_buildings(rand: Random, plan: Plan, lots: list[Lot], scenario: Scenario) -> None:
    """Add buildings with yards, driveways and parking lots to a plan, in place.

    Args:
        rand: Random numbers.
        plan: Plan with streets.
        lots: Lots of the plan.
        scenario: Change between the dates.
    """
    density = rand.uniform(0.6, 0.97)
    common = rand.choice(ROOFS)
    spread = rand.uniform(0, 0.6)  # probability that a roof has a random color instead of the common one
    centers = np.array([(lot.x, lot.y) for lot in lots]).reshape(-1, 2)
    changes = [_draw_change(rand, scenario, changing, density) for changing in scenario.in_changing_area(centers).tolist()]
    if scenario.kind != "none" and lots and not {"appears", "disappears", "grows"} & set(changes):
        changes[int(np.argmin(np.hypot(*(centers - scenario.center).T)))] = "appears"
    streets = np.concatenate([*plan.streets[1], np.zeros((0, 2))])
    taken: list[_Circle] = []  # at either date, so that labeled and unlabeled buildings do not touch
    placed: list[tuple[Lot, str, Building, list[Rect]]] = []
    for lot, change in zip(lots, changes, strict=True):
        if change == "empty":
            continue
        roof = rand.choice(ROOFS) if rand.random() < spread else common
        building, paved = _industrial_building(rand, lot) if plan.industrial else _residential_building(rand, lot, roof)
        if is_clear(building.wings, taken) and is_off_streets(building.wings, streets, plan.street_width):
            taken.extend(map(bounding_circle, building.wings))
            placed.append((lot, change, building, paved))
    for lot, change, building, paved in placed:
        later = building
        if change == "grows":
            extra = _extension(rand, building)
            others = [circle for circle in taken if circle[3] not in building.wings]
            if is_clear((extra,), others) and is_off_streets((extra,), streets, plan.street_width):
                taken.append(bounding_circle(extra))
                later = Building((*building.wings, extra), building.height, building.flat, building.color)
        outline = lot.rect()
        pool = (*outline.at(rand.uniform(-9, 9), lot.side * lot.depth * 0.33), rand.uniform(3.0, 5.0))
        yard = Yard(outline, lot.side, rand.random(), pool if rand.random() < 0.05 else None)
        for date, exists in enumerate((change != "appears", change != "disappears")):
            if exists:
                plan.buildings[date].append(later if date else building)
                (plan.parking_lots if plan.industrial else plan.driveways)[date].extend(paved)
                if not plan.industrial:
                    plan.yards[date].append(yard)


def _draw_change(rand: Random, scenario: Scenario, changing: bool, density: float) -> str:
    """Sample the change of a lot: "empty", "stays", "appears", "disappears" or "grows"."""
    built, draw = rand.random() < density, rand.random()
    if scenario.new_streets and changing:
        return "appears" if built and scenario.kind != "none" else "empty"
    if scenario.kind == "none" or (scenario.kind != "infill" and not changing):
        return "stays" if built else "empty"
    if scenario.kind != "infill":
        change = "appears" if scenario.kind == "development" else "disappears"
        return "empty" if not built else change if draw < 0.92 else "stays"
    if draw < 0.14:
        return "appears"
    return "empty" if not built else "disappears" if draw < 0.19 else "grows" if draw > 0.84 else "stays"


def is_clear(wings: tuple[Rect, ...], taken: list[_Circle], gap: float = GAP) -> bool:
    """Return whether wings keep the distance `gap` from other buildings, given by `bounding_circle` of their wings."""
    x, y = wings[0].x, wings[0].y
    reach = max(math.hypot(u - x, v - y) + r for u, v, r, _ in map(bounding_circle, wings)) + gap
    near = [w for u, v, r, w in taken if (u - x) ** 2 + (v - y) ** 2 < (reach + r) ** 2]
    return not near or not (inside_any(near, _points(wings), gap).any() or inside_any(list(wings), _points(near), gap).any())


def is_off_streets(wings: tuple[Rect, ...], streets: Points, street_width: float) -> bool:
    """Return whether wings are clear of the streets, given by points of their center lines; lots in a bend may not be."""
    points = _points(wings)
    reach = street_width / 2 + 4
    streets = streets[((streets > points.min(0) - reach) & (streets < points.max(0) + reach)).all(1)]
    return not (np.square(points[:, None] - streets).sum(-1) < reach * reach).any()


def bounding_circle(rect: Rect) -> _Circle:
    """Return center and radius of the bounding circle of a footprint, and the footprint."""
    return rect.x, rect.y, math.hypot(rect.length, rect.width) / 2, rect


def _points(rects: Iterable[Rect]) -> Points:
    """Return corners, midpoints of sides and centers, which are dense enough to detect any overlap of buildings."""
    points = []
    for rect in rects:
        corners = rect.corners()
        points += corners
        points += [((x + u) / 2, (y + v) / 2) for (x, y), (u, v) in zip(corners, corners[1:] + corners[:1], strict=True)]
        points.append((rect.x, rect.y))
    return np.array(points)


def _residential_building(rand: Random, lot: Lot, color: RGB) -> tuple[Building, list[Rect]]:
    length, width = rand.uniform(0.66, 0.8) * lot.length, rand.uniform(20, 27)
    tilt = lot.angle + rand.triangular(0, 0.03)
    front = rand.uniform(13, 20)  # depth of the front yard
    towards = -lot.side  # direction of the street
    main = Rect(*lot.rect().at(rand.uniform(-1.5, 1.5), towards * (lot.depth / 2 - front - width / 2)), length, width, tilt)
    end = rand.choice((-1, 1))
    garage = rand.uniform(11, 13.5)
    spot = end * (length / 2 - garage / 2)
    porch = rand.uniform(3, 9)
    wings = [main, _wing(main, spot, towards, garage, porch)]
    if rand.random() < 0.6:  # a wing at the back
        wide = rand.uniform(9, 15)
        wings.append(_wing(main, rand.uniform(-0.5, 0.5) * (length - wide), -towards, wide, rand.uniform(3, 9)))
    if rand.random() < 0.45:  # a small gable beside the garage
        wings.append(_wing(main, -spot * rand.uniform(0.6, 1.0), towards, rand.uniform(8, 11), rand.uniform(1.5, 4)))
    reach = front - porch + 5
    drive = Rect(*main.at(spot, towards * (width / 2 + porch + reach / 2 - 1)), garage - rand.uniform(1, 3.5), reach, tilt)
    r, g, b = (int(c * rand.triangular(1, 0.02)) for c in color)
    return Building(tuple(wings), rand.uniform(3.4, 5.6), False, (r, g, b)), [drive]


def _wing(main: Rect, along: float, side: int, width: float, depth: float) -> Rect:
    """Return a wing that extends from a long side of the main wing by `depth`."""
    angle = main.angle + side * math.pi / 2
    return Rect(*main.at(along, side * (main.width / 2 + depth / 2 - 1)), depth + 2, width, angle)


def _industrial_building(rand: Random, lot: Lot) -> tuple[Building, list[Rect]]:
    length, width = rand.uniform(0.5, 0.8) * lot.length, rand.uniform(0.4, 0.66) * lot.depth
    main = Rect(*lot.rect().at(rand.uniform(-5, 5), lot.side * rand.uniform(0, 8)), length, width, lot.angle)
    wings = [main]
    if rand.random() < 0.4:  # offices at the front
        wide = rand.uniform(0.3, 0.6) * length
        wings.append(_wing(main, rand.uniform(-0.5, 0.5) * (length - wide), -lot.side, wide, rand.uniform(4, 9)))
    parking_lot = Rect(lot.x, lot.y, lot.length - 4, lot.depth + 6, lot.angle)
    return Building(tuple(wings), rand.uniform(5, 9), True, rand.choice(FLAT_ROOFS)), [parking_lot]


def _extension(rand: Random, building: Building) -> Rect:
    """Return an extension at one end of the main wing."""
    main, end, ratio = building.wings[0], rand.choice((0, 1)), rand.uniform(0.5, 0.85)
    depth = rand.uniform(18, 32) if building.flat else rand.uniform(8, 13)
    middle = main.length / 2 + depth / 2 - 1
    return Rect(*main.at(-middle if end else middle, 0), depth + 2, main.width * ratio, main.angle + end * math.pi)
