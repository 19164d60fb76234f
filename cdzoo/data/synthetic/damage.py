"""Damage of buildings between the dates: grades, and the holes and debris that show them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from cdzoo.data.synthetic.classes import DESTROYED, MAJOR, MINOR, NONE
from cdzoo.data.synthetic.plan import RGB, Building, Plan
from cdzoo.data.synthetic.shapes import Point, Random, Rect

HOLE: RGB = (44, 39, 36)
TARP: RGB = (58, 98, 168)
SCORCHED: RGB = (70, 62, 56)
TIMBER: tuple[RGB, ...] = ((150, 122, 92), (128, 104, 80), (176, 150, 116))
RUBBLE: tuple[RGB, ...] = ((168, 160, 150), (138, 130, 122), (96, 90, 86), (196, 188, 178), (58, 52, 48))
ASHES: tuple[RGB, ...] = ((62, 58, 56), (84, 80, 78), (110, 106, 104), (46, 42, 40), (150, 146, 142), (72, 60, 52))
Shape = tuple[list[Point], RGB]


def add_damage(rand: Random, plan: Plan, size: tuple[int, int], spared: bool = False) -> list[int]:
    """Damage the buildings of the second date of a plan, in place.

    Damage is worse in one direction, along which grades of neighbors are similar but not equal. Buildings of minor damage have
    few small holes or tarps, those of major damage lack much of their roof, and destroyed ones are heaps of rubble, or of ashes
    on scorched ground where a scene burned.

    Args:
        rand: Random numbers.
        plan: Plan whose buildings do not change.
        size: Size of the canvas (height, width) in pixels.
        spared: Whether no building is damaged.

    Returns:
        The grade of each building of the first date, 1 to 4.
    """
    height, width = size
    direction, level, slope = rand.uniform(0, 2 * math.pi), rand.uniform(0.2, 0.8), rand.uniform(0, 0.9)
    burned = rand.random() < 0.3
    cos, sin = slope * math.cos(direction) / width, slope * math.sin(direction) / height
    grades, standing = [], []
    for building in plan.buildings[0]:
        main = building.wings[0]
        severity = level + (main.x - width / 2) * cos + (main.y - height / 2) * sin + rand.triangular(0, 0.2)
        grade = NONE if spared else NONE + sum(severity > limit for limit in (0.36, 0.52, 0.68))
        grades.append(grade)
        if grade == DESTROYED:
            plan.debris.extend(_ruin(rand, building, burned))
        else:
            standing.append(building)
            plan.debris.extend(_holes(rand, building, grade))
    plan.buildings[1][:] = standing
    return grades


def _holes(rand: Random, building: Building, grade: int) -> Iterator[Shape]:
    """Yield the damage of a roof: patches of about 6 % of it for minor damage, and about half of it for major damage."""
    main = building.wings[0]
    if grade == MINOR:
        for _ in range(2 + int(main.length * main.width / 1600)):
            spot = main.at(rand.uniform(-0.36, 0.36) * main.length, rand.uniform(-0.3, 0.3) * main.width)
            side = rand.uniform(5.5, 8.5)
            if rand.random() < 0.4:
                yield Rect(*spot, side, 0.8 * side, main.angle).corners(), TARP
            else:
                yield _blob(rand, *spot, 0.55 * side), HOLE
    if grade == MAJOR:
        end, part = rand.choice((-1, 1)), rand.uniform(0.42, 0.6)
        along = end * (1 - part) / 2 * main.length
        fallen = Rect(*main.at(along, 0), part * main.length, 0.94 * main.width, main.angle)
        yield _ragged(rand, fallen), SCORCHED
        yield _ragged(rand, Rect(fallen.x, fallen.y, 0.82 * fallen.length, 0.72 * fallen.width, main.angle)), HOLE
        yield from _beams(rand, fallen, int(fallen.length / 3.5))
        yield from _pieces(rand, fallen, int(fallen.length * fallen.width / 45), 1.35, (building.color, *TIMBER))


def _ruin(rand: Random, building: Building, burned: bool) -> Iterator[Shape]:
    """Yield what is left of a destroyed building: scorched ground, and rubble or ashes beyond its outline."""
    main, reach = building.wings[0], 10.0 if burned else 4.0
    colors = (*ASHES, building.color) if burned else (building.color, *RUBBLE, *TIMBER)
    yield _ragged(rand, Rect(main.x, main.y, main.length + reach, main.width + reach, main.angle), 0.12), SCORCHED
    for wing in building.wings:
        yield _ragged(rand, wing, 0.12), colors[1]
        yield from _pieces(rand, wing, int(wing.length * wing.width / 7), 1.25, colors)
    if not burned:
        yield from _beams(rand, main, int(main.length / 5))


def _pieces(rand: Random, rect: Rect, count: int, reach: float, colors: Sequence[RGB]) -> Iterator[Shape]:
    """Yield pieces of debris in and around a rectangle, as far as `reach` half sides from its center."""
    for _ in range(count):
        spot = rect.at(rand.uniform(-0.5, 0.5) * reach * rect.length, rand.uniform(-0.5, 0.5) * reach * rect.width)
        piece = Rect(*spot, rand.uniform(1.5, 4.5), rand.uniform(1.2, 3), rand.uniform(0, math.pi))
        yield piece.corners(), rand.choice(colors)


def _beams(rand: Random, rect: Rect, count: int) -> Iterator[Shape]:
    """Yield beams that lie across a rectangle."""
    for _ in range(count):
        spot = rect.at(rand.uniform(-0.45, 0.45) * rect.length, rand.uniform(-0.2, 0.2) * rect.width)
        beam = Rect(*spot, rand.uniform(0.4, 0.8) * rect.width, 1.3, rect.angle + math.pi / 2 + rand.triangular(0, 0.25))
        yield beam.corners(), rand.choice(TIMBER)


def _blob(rand: Random, x: float, y: float, radius: float) -> list[Point]:
    radii = [radius * rand.uniform(0.7, 1.25) for _ in range(8)]
    return [(x + r * math.cos(i * math.pi / 4), y + r * math.sin(i * math.pi / 4)) for i, r in enumerate(radii)]


def _ragged(rand: Random, rect: Rect, strength: float = 0.1) -> list[Point]:
    """Return the outline of a rectangle with uneven sides."""
    corners, outline = rect.corners(), []
    for (x, y), (u, v) in zip(corners, corners[1:] + corners[:1], strict=True):
        for share in (0.0, 0.25, 0.5, 0.75):
            inward = 1 - rand.uniform(0, 2) * strength
            px, py = x + share * (u - x), y + share * (v - y)
            outline.append((rect.x + inward * (px - rect.x), rect.y + inward * (py - rect.y)))
    return outline
