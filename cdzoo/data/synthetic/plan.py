"""What stands where at each date: streets and lots. One unit is a pixel of 0.5 m; index 0 is before, 1 is after."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cdzoo.data.synthetic.shapes import Dice, Point, Points, Rect

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Building:
    """A building of one or more wings.

    Attributes:
        wings: Footprints; the first is the main one, the others point away from it. Together they are the building.
        height: Height of the eaves in metres.
        flat: Flat roof, else hipped with gables over the wings.
        color: RGB of the roof in even light.
    """

    wings: tuple[Rect, ...]
    height: float
    flat: bool
    color: RGB


@dataclass(frozen=True)
class Yard:
    """A plot: its side of the street, how worn its lawn is in [0, 1], and the centre and radius of its pool, if any."""

    rect: Rect
    side: int
    wear: float
    pool: tuple[float, float, float] | None


@dataclass(frozen=True)
class Lot:
    """Ground for one building beside a street."""

    x: float
    y: float
    angle: float  # of the street
    side: int  # +1 or -1: on which side of the street it lies
    length: float  # along the street
    depth: float

    def rect(self, margin: float = 0.0) -> Rect:
        """Return its outline, moved outwards by `margin`."""
        return Rect(self.x, self.y, self.length + 2 * margin, self.depth + 2 * margin, self.angle)


@dataclass
class Plan:
    """A place at two dates.

    Attributes:
        works: A trading estate, else houses.
        streets: Centre lines (N, 2) at each date.
        street_width: Width of all carriageways.
        concrete: Streets are pale, else of asphalt.
        wooded: How much of the free ground is wood, in [0, 1].
        grown: How much woods and trees differ at each date, a few hundredths.
        yards: Gardens at each date.
        drives: Driveways at each date.
        parks: Car parks at each date.
        buildings: Buildings at each date.
        trees: (N, 3) x, y, radius of lone trees at each date.
        cars: Cars at each date, with their colours.
        fields: Patches of crop or bare soil at each date, with their colours; furrowed if the flag is set.
        tracks: Worn paths at each date.
    """

    works: bool
    streets: tuple[list[Points], list[Points]]
    street_width: float
    concrete: bool
    wooded: float
    grown: tuple[float, float]
    yards: tuple[list[Yard], list[Yard]] = field(default_factory=lambda: ([], []))
    drives: tuple[list[Rect], list[Rect]] = field(default_factory=lambda: ([], []))
    parks: tuple[list[Rect], list[Rect]] = field(default_factory=lambda: ([], []))
    buildings: tuple[list[Building], list[Building]] = field(default_factory=lambda: ([], []))
    trees: tuple[Points, Points] = (np.zeros((0, 3)), np.zeros((0, 3)))
    cars: tuple[list[tuple[Rect, RGB]], list[tuple[Rect, RGB]]] = field(default_factory=lambda: ([], []))
    fields: tuple[list[tuple[Rect, RGB, bool]], list[tuple[Rect, RGB, bool]]] = field(default_factory=lambda: ([], []))
    tracks: tuple[list[list[Point]], list[list[Point]]] = field(default_factory=lambda: ([], []))


@dataclass(frozen=True)
class Story:
    """What happens between the dates.

    Attributes:
        kind: "quarter" (built up on one side of a line), "infill" (here and there), "clearance" or "nothing".
        direction: Where the changing side lies, in radians.
        border: Distance of its edge from `centre`.
        centre: Of the picture.
        new_streets: The streets of the changing side are not there before.
    """

    kind: str
    direction: float
    border: float
    centre: Point
    new_streets: bool

    def ahead(self, points: Points) -> npt.NDArray[np.bool_]:
        """Say which of the points (N, 2) lie on the changing side."""
        along = (points - np.array(self.centre)) @ np.array((math.cos(self.direction), math.sin(self.direction)))
        return np.asarray(along > self.border)


def lay_out(dice: Dice, height: int, width: int, change: bool, pseudo_changes: bool) -> tuple[Plan, list[Lot], Story]:
    """Lay streets over a canvas of `height` x `width` pixels and cut the ground beside them into lots.

    Args:
        dice: Source of random numbers.
        height: Height of the canvas.
        width: Width of the canvas.
        change: Let buildings appear, disappear or grow.
        pseudo_changes: Let streets be built between the dates.
    """
    works = dice.roll() < 0.25
    angle = dice.between(0, math.pi)
    kind = dice.pick(("quarter",) * 10 + ("infill",) * 7 + ("clearance",) * 3)
    new_streets = kind == "quarter" and dice.roll() < 0.5 and pseudo_changes
    turn, border = dice.between(0, 2 * math.pi), dice.between(-0.3, 0.25) * min(height, width)
    story = Story(kind if change else "nothing", turn, border, (width / 2, height / 2), new_streets)
    bend, wave, phase = dice.between(0, 28) * (not works), dice.between(260, 520), dice.between(0, 2 * math.pi)
    reach = math.hypot(height, width) / 2 + 90
    pitch = dice.between(170, 210) if works else dice.between(136, 158)
    offset = dice.between(-0.5, 0.5) * pitch
    street = dice.between(15, 20) if works else dice.between(13, 17)
    cos, sin = math.cos(angle), math.sin(angle)

    def to_xy(u: Points, v: Points) -> Points:
        v = v + bend * np.sin(2 * np.pi * u / wave + phase)
        return np.stack([width / 2 + u * cos - v * sin, height / 2 + u * sin + v * cos], axis=-1)

    line = np.arange(-reach, reach + 16, 16.0)
    rows = [offset + k * pitch for k in range(math.ceil((-reach - offset) / pitch), int((reach - offset) // pitch) + 1)]
    lines = [to_xy(line, np.full_like(line, v)) for v in rows]
    cross = dice.between(-160, 160)
    if dice.roll() < 0.55:
        lines.append(to_xy(np.full_like(line, cross), line))
    else:
        cross = math.inf
    before = [part for one in lines for part in _outside(one, story)] if new_streets else lines
    plan = Plan(
        works=works,
        streets=(before, lines),
        street_width=street,
        concrete=dice.roll() < 0.45,
        wooded=max(0.0, dice.between(-0.2, 0.75)),
        grown=(0.0, dice.between(-0.02, 0.09) * pseudo_changes),
    )
    spots = []  # of the lots: along and across the streets, side, length
    depth = pitch / 2 - street / 2 - 3
    for v in rows:
        for side in (-1, 1):
            u = -reach + dice.between(0, 40)
            while u < reach:
                length = dice.between(86, 150) if works else dice.between(37, 48)
                mid, u = u + length / 2, u + length
                if abs(mid - cross) >= length / 2 + street / 2 + 2:
                    spots.append((mid, v + side * (street / 2 + 2 + depth / 2), side, length))
    lots = []
    if spots:
        table = np.array(spots)
        here, ahead = to_xy(table[:, 0], table[:, 1]), to_xy(table[:, 0] + 2, table[:, 1])
        turns = np.arctan2(*(ahead - here).T[::-1]).tolist()
        margin = np.hypot(table[:, 3:], depth) / 2 + 8  # for shadows
        seen = ((here > -margin) & (here < np.array((width, height)) + margin)).all(1).tolist()
        for (x, y), turn, (_, _, side, length), shown in zip(here.tolist(), turns, spots, seen, strict=True):
            if shown:
                lots.append(Lot(x, y, turn, side, length, depth))
    return plan, lots, story


def _outside(line: Points, story: Story) -> list[Points]:
    """Return the stretches of a street that do not lie on the changing side."""
    old = ~story.ahead(line)
    cuts = np.flatnonzero(old[1:] != old[:-1]) + 1
    parts = np.split(line, cuts)
    return [part for part, first in zip(parts, np.r_[0, cuts], strict=True) if old[first] and len(part) > 1]
