"""Plan of a scene at both dates, and generation of its streets and lots. Lengths are in pixels of 0.5 m."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cdzoo.data.synthetic.shapes import Point, Points, Random, Rect

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Building:
    """Building of one or more wings.

    Attributes:
        wings: Footprints of the wings, the main wing first.
        height: Height of the eaves in meters.
        flat: Whether the roof is flat; otherwise it is a hip roof with gables over the wings.
        color: RGB color of the roof.
    """

    wings: tuple[Rect, ...]
    height: float
    flat: bool
    color: RGB


@dataclass(frozen=True)
class Yard:
    """Yard of a residential building.

    Attributes:
        rect: Outline.
        side: Side of the street, 1 or -1.
        wear: Wear of the lawn, in [0, 1].
        pool: Center and radius (x, y, radius) of the pool, or None.
    """

    rect: Rect
    side: int
    wear: float
    pool: tuple[float, float, float] | None


@dataclass(frozen=True)
class Lot:
    """Lot for one building beside a street.

    Attributes:
        x: Horizontal position of the center.
        y: Vertical position of the center.
        angle: Direction of the street, in radians.
        side: Side of the street, 1 or -1.
        length: Extent along the street.
        depth: Extent perpendicular to the street.
    """

    x: float
    y: float
    angle: float
    side: int
    length: float
    depth: float

    def rect(self, margin: float = 0.0) -> Rect:
        """Return the outline of the lot, expanded by `margin`."""
        return Rect(self.x, self.y, self.length + 2 * margin, self.depth + 2 * margin, self.angle)


@dataclass
class Plan:
    """Contents of a scene. Tuples have one item per date, before and after.

    Attributes:
        industrial: Whether buildings are industrial; otherwise they are residential.
        streets: Center lines (N, 2).
        street_width: Width of the roadways.
        concrete: Whether streets are of concrete; otherwise they are of asphalt.
        tree_cover: Fraction of the free ground covered by woods, in [0, 1].
        growth: Offset of the height of trees, a few hundredths.
        yards: Yards of residential buildings.
        driveways: Driveways of residential buildings.
        parking_lots: Parking lots of industrial buildings.
        buildings: Buildings.
        trees: Single trees (N, 3) as x, y, radius.
        cars: Cars with their colors.
        fields: Patches of crops or bare soil with their colors and whether they have furrows.
        paths: Unpaved paths.
        debris: Outlines of holes, debris and scorched ground with their colors, drawn over the buildings of the second date.
    """

    industrial: bool
    streets: tuple[list[Points], list[Points]]
    street_width: float
    concrete: bool
    tree_cover: float
    growth: tuple[float, float]
    yards: tuple[list[Yard], list[Yard]] = field(default_factory=lambda: ([], []))
    driveways: tuple[list[Rect], list[Rect]] = field(default_factory=lambda: ([], []))
    parking_lots: tuple[list[Rect], list[Rect]] = field(default_factory=lambda: ([], []))
    buildings: tuple[list[Building], list[Building]] = field(default_factory=lambda: ([], []))
    trees: tuple[Points, Points] = (np.zeros((0, 3)), np.zeros((0, 3)))
    cars: tuple[list[tuple[Rect, RGB]], list[tuple[Rect, RGB]]] = field(default_factory=lambda: ([], []))
    fields: tuple[list[tuple[Rect, RGB, bool]], list[tuple[Rect, RGB, bool]]] = field(default_factory=lambda: ([], []))
    paths: tuple[list[list[Point]], list[list[Point]]] = field(default_factory=lambda: ([], []))
    debris: list[tuple[list[Point], RGB]] = field(default_factory=list)


@dataclass(frozen=True)
class Scenario:
    """Change between the dates.

    Attributes:
        kind: "development" or "demolition" on one side of a line, "infill" of single lots, or "none".
        direction: Direction of the changing area from the line, in radians.
        border: Signed distance of the line from `center`.
        center: Center of the canvas (x, y).
        new_streets: Whether the streets of the changing area exist at the second date only.
    """

    kind: str
    direction: float
    border: float
    center: Point
    new_streets: bool

    def in_changing_area(self, points: Points) -> npt.NDArray[np.bool_]:
        """Return which points (N, 2) are in the changing area."""
        along = (points - np.array(self.center)) @ np.array((math.cos(self.direction), math.sin(self.direction)))
        return np.asarray(along > self.border)


def lay_out(rand: Random, height: int, width: int, change: bool, pseudo_changes: bool) -> tuple[Plan, list[Lot], Scenario]:
    """Generate the streets of a canvas, the lots beside them, and the change between the dates.

    Args:
        rand: Random numbers.
        height: Height of the canvas in pixels.
        width: Width of the canvas in pixels.
        change: Whether buildings appear, disappear or grow.
        pseudo_changes: Whether streets appear.

    Returns:
        The plan, with streets only, the visible lots, and the scenario.
    """
    industrial = rand.random() < 0.25
    angle = rand.uniform(0, math.pi)
    scenario = _draw_scenario(rand, height, width, change, pseudo_changes)
    bend, wave, phase = rand.uniform(0, 28) * (not industrial), rand.uniform(260, 520), rand.uniform(0, 2 * math.pi)
    reach = math.hypot(height, width) / 2 + 90
    pitch = rand.uniform(170, 210) if industrial else rand.uniform(136, 158)
    offset = rand.uniform(-0.5, 0.5) * pitch
    street = rand.uniform(15, 20) if industrial else rand.uniform(13, 17)
    cos, sin = math.cos(angle), math.sin(angle)

    def to_xy(along: Points, across: Points) -> Points:
        v = across + bend * np.sin(2 * np.pi * along / wave + phase)
        return np.stack([width / 2 + along * cos - v * sin, height / 2 + along * sin + v * cos], axis=-1)

    axis = np.arange(-reach, reach + 16, 16.0)
    rows = [offset + k * pitch for k in range(math.ceil((-reach - offset) / pitch), int((reach - offset) // pitch) + 1)]
    lines = [to_xy(axis, np.full_like(axis, row)) for row in rows]
    cross = rand.uniform(-160, 160)
    if rand.random() < 0.55:
        lines.append(to_xy(np.full_like(axis, cross), axis))
    else:
        cross = math.inf
    before = [piece for line in lines for piece in _unchanged_pieces(line, scenario)] if scenario.new_streets else lines
    plan = Plan(
        industrial=industrial,
        streets=(before, lines),
        street_width=street,
        concrete=rand.random() < 0.45,
        tree_cover=max(0.0, rand.uniform(-0.2, 0.75)),
        growth=(0.0, rand.uniform(-0.02, 0.09) * pseudo_changes),
    )
    lots = []  # (along, across, side, length)
    depth = pitch / 2 - street / 2 - 3
    for row in rows:
        for side in (-1, 1):
            start = -reach + rand.uniform(0, 40)
            while start < reach:
                length = rand.uniform(86, 150) if industrial else rand.uniform(37, 48)
                middle, start = start + length / 2, start + length
                if abs(middle - cross) >= length / 2 + street / 2 + 2:
                    lots.append((middle, row + side * (street / 2 + 2 + depth / 2), side, length))
    return plan, _visible_lots(lots, depth, to_xy, (width, height)), scenario


def _draw_scenario(rand: Random, height: int, width: int, change: bool, pseudo_changes: bool) -> Scenario:
    kind = rand.choice(("development",) * 10 + ("infill",) * 7 + ("demolition",) * 3)
    new_streets = kind == "development" and rand.random() < 0.5 and pseudo_changes
    direction, border = rand.uniform(0, 2 * math.pi), rand.uniform(-0.3, 0.25) * min(height, width)
    return Scenario(kind if change else "none", direction, border, (width / 2, height / 2), new_streets)


def _visible_lots(
    lots: list[tuple[float, float, int, float]], depth: float, to_xy: Callable[[Points, Points], Points], size: tuple[int, int]
) -> list[Lot]:
    """Return the lots, given as (along, across, side, length), that may be visible on a canvas of `size` (width, height)."""
    along, across, _, length = np.array(lots).reshape(-1, 4).T
    centers, ahead = to_xy(along, across), to_xy(along + 2, across)
    angles = np.arctan2(*(ahead - centers).T[::-1]).tolist()
    margin = np.hypot(length[:, None], depth) / 2 + 8  # for shadows
    visible = ((centers > -margin) & (centers < np.array(size) + margin)).all(1)
    candidates = zip(centers.tolist(), angles, lots, visible, strict=True)
    return [Lot(x, y, angle, side, n, depth) for (x, y), angle, (_, _, side, n), inside in candidates if inside]


def _unchanged_pieces(line: Points, scenario: Scenario) -> list[Points]:
    """Return the pieces of a street outside the changing area."""
    unchanged = ~scenario.in_changing_area(line)
    cuts = np.flatnonzero(unchanged[1:] != unchanged[:-1]) + 1
    pieces = np.split(line, cuts)
    return [piece for piece, i in zip(pieces, np.r_[0, cuts], strict=True) if unchanged[i] and len(piece) > 1]
