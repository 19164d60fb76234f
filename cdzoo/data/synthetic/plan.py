"""What stands where at each date: streets, plots, buildings, trees, cars. One unit is a pixel of 0.5 m."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from cdzoo.data.synthetic.shapes import Dice, Points, Rect, inside_any, ribbon

ROOFS = ((112, 106, 100), (96, 92, 90), (130, 120, 108), (142, 132, 122), (88, 82, 78), (150, 138, 120), (128, 100, 86))
FLAT_ROOFS = ((214, 214, 210), (196, 198, 200), (168, 172, 176), (228, 228, 224), (132, 138, 142), (122, 142, 166))
PAINTS = ((225, 225, 225), (40, 42, 46), (120, 124, 128), (150, 36, 34), (40, 60, 110), (176, 172, 160))


@dataclass(frozen=True)
class Building:
    """A building of one or two wings.

    Attributes:
        wings: Footprints; together they are the building.
        height: Height of the eaves in metres.
        flat: Flat roof, else hipped.
        color: RGB of the roof in even light.
    """

    wings: tuple[Rect, ...]
    height: float
    flat: bool
    color: tuple[int, int, int]


@dataclass
class Plan:
    """A place at two dates; index 0 is before, 1 is after.

    Attributes:
        streets: Centre lines (N, 2) with their widths.
        carriageways: Outlines of the streets.
        pavements: The same, with the pavement on both sides.
        yards: Fenced plots at each date, with how worn the ground is in [0, 1].
        paved: Driveways and car parks at each date.
        buildings: Buildings at each date.
        changed: Footprints whose roof is at one date only.
        kept: Footprints of the old wings of extended buildings, which did not change.
        trees: (N, 3) x, y, radius at each date.
        cars: Cars at each date, with RGB colours.
        fields: Patches of crop or bare soil at each date, with RGB colours.
    """

    streets: list[tuple[Points, float]] = field(default_factory=list)
    carriageways: list[Points] = field(default_factory=list)
    pavements: list[Points] = field(default_factory=list)
    yards: tuple[list[tuple[Rect, float]], ...] = field(default_factory=lambda: ([], []))
    paved: tuple[list[Rect], ...] = field(default_factory=lambda: ([], []))
    buildings: tuple[list[Building], ...] = field(default_factory=lambda: ([], []))
    changed: list[Rect] = field(default_factory=list)
    kept: list[Rect] = field(default_factory=list)
    trees: tuple[Points, ...] = (np.zeros((0, 3)), np.zeros((0, 3)))
    cars: tuple[list[tuple[Rect, tuple[int, int, int]]], ...] = field(default_factory=lambda: ([], []))
    fields: tuple[list[tuple[Rect, tuple[int, int, int]]], ...] = field(default_factory=lambda: ([], []))


@dataclass(frozen=True)
class _Lot:
    x: float
    y: float
    angle: float  # of the street beside it
    side: int  # +1 or -1: on which side of the street it lies
    length: float  # along the street
    depth: float


def make_plan(rng: np.random.Generator, height: int, width: int, change: bool, pseudo_changes: bool) -> Plan:
    """Lay out a scene for a canvas of `height` x `width` pixels.

    Args:
        rng: Source of every choice.
        height: Height of the canvas.
        width: Width of the canvas.
        change: Let buildings appear, disappear or grow.
        pseudo_changes: Move cars, grow trees and work fields between the dates.
    """
    plan = Plan()
    works = rng.random() < 0.25
    angle = rng.uniform(0, np.pi)
    bend, wave, phase = rng.uniform(0, 26) * (not works), rng.uniform(260, 520), rng.uniform(0, 2 * np.pi)
    reach = float(np.hypot(height, width)) / 2 + 160
    pitch = rng.uniform(170, 210) if works else rng.uniform(112, 134)
    offset = rng.uniform(-0.5, 0.5) * pitch
    street = rng.uniform(15, 20) if works else rng.uniform(13, 17)
    cos, sin = np.cos(angle), np.sin(angle)

    def to_xy(u: Points, v: Points) -> Points:
        v = v + bend * np.sin(2 * np.pi * u / wave + phase)
        return np.stack([width / 2 + u * cos - v * sin, height / 2 + u * sin + v * cos], axis=-1)

    line = np.arange(-reach, reach + 16, 16.0)
    centres = []  # of the lots, along and across the streets
    first = int(np.ceil((-reach - offset) / pitch))
    rows = [offset + k * pitch for k in range(first, int((reach - offset) // pitch) + 1)]
    cross = rng.uniform(-160, 160)
    plan.streets = [(to_xy(line, np.full_like(line, v)), street) for v in rows if works or rng.random() < 0.93]
    if rng.random() < 0.6:
        plan.streets.append((to_xy(np.full_like(line, cross), line), street))
    else:
        cross = np.inf
    plan.carriageways = [ribbon(one, wide) for one, wide in plan.streets]
    plan.pavements = [ribbon(one, wide + 5) for one, wide in plan.streets]

    for v in rows:
        for side in (-1, 1):
            u = -reach + rng.uniform(0, 40)
            while u < reach:
                length = rng.uniform(86, 150) if works else rng.uniform(34, 46)
                mid, u = u + length / 2, u + length
                if abs(mid - cross) < length / 2 + street / 2 + 2:
                    continue
                depth = pitch / 2 - street / 2 - 3
                centres.append((mid, v + side * (street / 2 + 2 + depth / 2), side, length, depth))
    lots = []
    if centres:
        table = np.array(centres)
        here, ahead = to_xy(table[:, 0], table[:, 1]), to_xy(table[:, 0] + 2, table[:, 1])
        turns = np.arctan2(*(ahead - here).T[::-1])
        for (x, y), turn, (_, _, side, length, depth) in zip(here.tolist(), turns.tolist(), centres, strict=True):
            lots.append(_Lot(x, y, turn, side, length, depth))
    _settle(rng, plan, [lot for lot in lots if _in_view(lot, height, width)], works, change, height, width)
    _plant(rng, plan, height, width, works, pseudo_changes)
    _park(rng, plan, height, width, pseudo_changes)
    _farm(rng, plan, height, width, angle, pseudo_changes)
    return plan


def _in_view(lot: _Lot, height: int, width: int) -> bool:
    margin = lot.length / 2 + 16
    return -margin < lot.x < width + margin and -margin < lot.y < height + margin


def _settle(rng: np.random.Generator, plan: Plan, lots: list[_Lot], works: bool, change: bool, height: int, width: int) -> None:
    """Decide which lots are built on at each date, and put the buildings there."""
    density = rng.uniform(0.55, 0.95)
    direction, border = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3) * min(height, width)
    story = rng.choice(["quarter", "infill", "clearance"], p=[0.5, 0.38, 0.12])
    common = ROOFS[rng.integers(len(ROOFS))]
    dice = Dice(rng)
    fates = []
    for lot in lots:
        ahead = (lot.x - width / 2) * np.cos(direction) + (lot.y - height / 2) * np.sin(direction) > border
        built = dice.roll() < density
        fate = "stays" if built else "empty"
        draw = dice.roll()
        if change and built and story != "infill":
            if ahead and draw < 0.92:
                fate = "appears" if story == "quarter" else "disappears"
        elif change:
            fate = "appears" if draw < 0.13 else "disappears" if draw < 0.18 and built else fate
            fate = "grows" if built and draw > 0.86 else fate
        fates.append(fate)
    if change and lots and not any(fate in ("appears", "disappears", "grows") for fate in fates):
        nearest = min(range(len(lots)), key=lambda i: (lots[i].x - width / 2) ** 2 + (lots[i].y - height / 2) ** 2)
        fates[nearest] = "appears"
    for lot, fate in zip(lots, fates, strict=True):
        roof = common if dice.roll() < 0.55 else dice.pick(ROOFS)
        building, paved = _works(dice, lot) if works else _house(dice, lot, roof)
        extra, wear = _extension(dice, building), dice.roll()
        yard = Rect(lot.x, lot.y, lot.length - 1, lot.depth - 1, lot.angle)
        grown = Building((*building.wings, extra), building.height, building.flat, building.color)
        for date in (0, 1):
            stands = fate in ("stays", "grows") or (fate != "empty" and (fate == "appears") == bool(date))
            if not stands:
                continue
            plan.buildings[date].append(grown if fate == "grows" and date else building)
            plan.paved[date].extend(paved)
            if not works:
                plan.yards[date].append((yard, wear))
        if fate in ("appears", "disappears"):
            plan.changed.extend(building.wings)
        elif fate == "grows":
            plan.changed.append(extra)
            plan.kept.extend(building.wings)


def _house(dice: Dice, lot: _Lot, color: tuple[int, int, int]) -> tuple[Building, list[Rect]]:
    length, width = dice.between(22, max(23.0, lot.length - 8)), dice.between(17, 23)
    tilt = lot.angle + dice.around(0, 0.05)
    setback = -lot.side * (lot.depth / 2 - dice.between(9, 15) - width / 2)
    base = Rect(lot.x, lot.y, lot.length, lot.depth, lot.angle)
    main = Rect(*base.at(dice.between(-2, 2), setback), length, width, tilt)
    wings = [main]
    end = dice.pick((-1, 1))
    if dice.roll() < 0.75:  # a garage towards the street, or a wing into the garden
        towards = -lot.side if dice.roll() < 0.6 else lot.side
        short, deep = dice.between(10, 14), dice.between(12, 18)
        wings.append(Rect(*main.at(end * (length - short) / 2, towards * (width / 2 + 1)), deep, short, tilt + math.pi / 2))
    reach = lot.depth / 2 + lot.side * setback - width / 2 + 3
    drive = Rect(*main.at(end * (length / 2 - 6), -lot.side * (width / 2 + reach / 2)), 9, reach + 4, lot.angle)
    shade = dice.around(1, 0.06)
    r, g, b = (int(c * shade) for c in color)
    return Building(tuple(wings), dice.between(3.5, 6.5), False, (r, g, b)), [drive]


def _works(dice: Dice, lot: _Lot) -> tuple[Building, list[Rect]]:
    length, width = dice.between(0.5, 0.8) * lot.length, dice.between(0.4, 0.68) * lot.depth
    base = Rect(lot.x, lot.y, lot.length, lot.depth, lot.angle)
    main = Rect(*base.at(dice.between(-6, 6), lot.side * dice.between(0, 8)), length, width, lot.angle)
    wings = [main]
    if dice.roll() < 0.35:
        wings.append(Rect(*main.at(length / 2 - 8, dice.between(-6, 6)), 28, width * 0.55, lot.angle))
    park = Rect(lot.x, lot.y, lot.length - 4, lot.depth + 6, lot.angle)
    color = dice.pick(FLAT_ROOFS)
    return Building(tuple(wings), dice.between(5, 9), True, color), [park]


def _extension(dice: Dice, building: Building) -> Rect:
    main = building.wings[0]
    end, share = dice.pick((-1, 1)), dice.between(0.45, 0.8)
    deep = dice.between(9, 14) if not building.flat else dice.between(18, 34)
    return Rect(*main.at(end * (main.length / 2 + deep / 2 - 1), 0), deep + 2, main.width * share, main.angle)


def _plant(rng: np.random.Generator, plan: Plan, height: int, width: int, works: bool, pseudo_changes: bool) -> None:
    """Scatter trees, in groves and alone, off the streets; where a building comes or goes they are there before or after."""
    area = height * width
    groves = rng.poisson(area / 30000)
    alone = rng.poisson(area / (4200 if works else 1500) * rng.uniform(0.4, 1.4))
    spots = [rng.uniform((-10, -10), (width + 10, height + 10), (alone, 2))]
    for _ in range(groves):
        centre, spread = rng.uniform((0, 0), (width, height)), rng.uniform(10, 34)
        spots.append(rng.normal(centre, spread, (rng.integers(12, 46), 2)))
    points = np.concatenate(spots)
    for line, wide in plan.streets:
        points = points[np.hypot(*(points[:, None] - line[None]).transpose(2, 0, 1)).min(1) > wide / 2 + 5]
    radius = rng.gamma(9, 0.55, len(points)).clip(2.2, 10)
    kept = []
    for date in (0, 1):
        wings = [wing for building in plan.buildings[date] for wing in building.wings]
        free = ~(inside_any(wings, points, 3.5) | inside_any(plan.paved[date], points, 1.5))
        growth = rng.uniform(0.92, 1.22, len(points)) if date and pseudo_changes else 1.0
        kept.append(np.column_stack([points, radius * growth])[free])
    plan.trees = (kept[0], kept[1])


def _park(rng: np.random.Generator, plan: Plan, height: int, width: int, pseudo_changes: bool) -> None:
    """Put cars on driveways, car parks and streets."""
    seed = int(rng.integers(2**31))
    for date in (0, 1):
        own = Dice(np.random.default_rng([seed, date * pseudo_changes]))
        there = set(plan.paved[date])
        # Every place of either date rolls the dice, there or not: so that with the same dice no other car moves.
        for rect in dict.fromkeys(plan.paved[0] + plan.paved[1]):
            turn, edge, full = rect.angle + math.pi / 2, rect.width / 2 - 5, own.between(0.1, 0.7)
            if rect.length < 20:
                places = [(*rect.at(0, own.between(-3, 3)), turn, full < 0.4)]
            else:
                spots = np.arange(-rect.length / 2 + 8, rect.length / 2 - 8, 6.0).tolist()
                places = [(*rect.at(spot, e), turn, own.roll() < full) for spot in spots for e in (-edge, edge)]
            for x, y, way, taken in places:
                car = _car(own, x, y, way)
                if taken and rect in there and car[0].near(width, height, 4):
                    plan.cars[date].append(car)
        for line, wide in plan.streets:
            for (x, y), (next_x, next_y) in pairwise(line.tolist()):
                if own.roll() < 0.06:
                    turn, aside = math.atan2(next_y - y, next_x - x), wide * own.pick((-0.25, 0.25))
                    car = _car(own, x - aside * math.sin(turn), y + aside * math.cos(turn), turn)
                    if car[0].near(width, height, 4):
                        plan.cars[date].append(car)


def _car(dice: Dice, x: float, y: float, turn: float) -> tuple[Rect, tuple[int, int, int]]:
    return Rect(x, y, dice.between(8, 10.5), dice.between(3.6, 4.4), turn), dice.pick(PAINTS)


def _farm(rng: np.random.Generator, plan: Plan, height: int, width: int, angle: float, pseudo_changes: bool) -> None:
    """Lay patches of crop and bare soil; between the dates some are ploughed, sown or cleared."""
    palette = ((150, 128, 100), (166, 142, 108), (118, 100, 78), (96, 104, 62), (126, 118, 78), (104, 94, 84))
    for _ in range(rng.poisson(0.8 + height * width / 60000)):
        size = rng.uniform(40, 150, 2)
        rect = Rect(rng.uniform(0, width), rng.uniform(0, height), size[0], size[1], angle + rng.normal(0, 0.1))
        colors = [palette[i] for i in rng.integers(len(palette), size=2)]
        there = (rng.random(2) < 0.7) if pseudo_changes else np.full(2, rng.random() < 0.7)
        for date in (0, 1):
            if there[date]:
                plan.fields[date].append((rect, colors[date if pseudo_changes else 0]))
