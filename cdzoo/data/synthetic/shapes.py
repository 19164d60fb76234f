"""Geometry and noise that plan and renderer share. Coordinates are (x, y) in pixels, x to the right, y downwards."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
Point = tuple[float, float]
T = TypeVar("T")


@dataclass(frozen=True)
class Rect:
    """A turned rectangle.

    Attributes:
        x: Centre.
        y: Centre.
        length: Extent along `angle`, in pixels.
        width: Extent across it.
        angle: Direction of `length`, in radians.
    """

    x: float
    y: float
    length: float
    width: float
    angle: float

    # Plain numbers, here and below: for four corners, numpy's overhead is all there is.

    @cached_property
    def axis(self) -> Point:
        """Unit vector along `angle`."""
        return math.cos(self.angle), math.sin(self.angle)

    def at(self, along: float, across: float) -> Point:
        """Return the point at `along` and `across` pixels from the centre, in the rectangle's own frame."""
        cos, sin = self.axis
        return self.x + along * cos - across * sin, self.y + along * sin + across * cos

    def corners(self, margin: float = 0.0, move: Point = (0.0, 0.0)) -> list[Point]:
        """Return the four corners of the rectangle grown by `margin` pixels and moved by `move`."""
        cos, sin = self.axis
        a, b = self.length / 2 + margin, self.width / 2 + margin
        lx, ly, wx, wy = a * cos, a * sin, -b * sin, b * cos
        x, y = self.x + move[0], self.y + move[1]
        return [(x - lx - wx, y - ly - wy), (x + lx - wx, y + ly - wy), (x + lx + wx, y + ly + wy), (x - lx + wx, y - ly + wy)]

    def near(self, width: int, height: int, margin: float) -> bool:
        """Say whether the rectangle can touch a canvas of `width` x `height` grown by `margin`."""
        reach = (self.length + self.width) / 2 + margin
        return -reach < self.x < width + reach and -reach < self.y < height + reach


def inside_any(rects: list[Rect], points: Points, margin: float) -> npt.NDArray[np.bool_]:
    """Say which of the points (N, 2) lie inside one of the rectangles grown by `margin`."""
    if not rects:
        return np.zeros(len(points), bool)
    x, y, length, width, angle = np.array([(r.x, r.y, r.length, r.width, r.angle) for r in rects]).T[:, None]
    dx, dy = points[:, :1] - x, points[:, 1:] - y
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    inside = (np.abs(along) <= length / 2 + margin) & (np.abs(across) <= width / 2 + margin)
    return np.asarray(inside.any(1))


class Dice:
    """Uniform numbers drawn in blocks: a scene takes thousands, and one call each to numpy would be half of its time."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._block: list[float] = []

    def roll(self) -> float:
        """Return a number in [0, 1)."""
        if not self._block:
            self._block = self._rng.random(512).tolist()
        return self._block.pop()

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self.roll()

    def around(self, centre: float, deviation: float) -> float:
        """Return a number near `centre`, triangularly distributed."""
        return centre + deviation * 6**0.5 * (self.roll() + self.roll() - 1)

    def pick(self, options: Sequence[T]) -> T:
        """Return one of `options`."""
        return options[int(self.roll() * len(options))]


def swept_outline(points: list[Point], dx: float, dy: float) -> list[Point]:
    """Return the outline of a convex polygon dragged along (dx, dy): the shadow that it casts on flat ground."""
    aside = [x * dy - y * dx for x, y in points]
    ahead = [x * dx + y * dy for x, y in points]
    count, left, right = len(points), aside.index(max(aside)), aside.index(min(aside))
    # The outermost corners on either side split the polygon into a chain that stays and a chain that is dragged along.
    chains = []
    for start, stop in ((left, right), (right, left)):
        chain = [(start + i) % count for i in range((stop - start) % count + 1)]
        chains.append((sum(ahead[i] for i in chain) / len(chain), chain))
    stays, moves = (chain for _, chain in sorted(chains))
    return [points[i] for i in stays] + [(points[i][0] + dx, points[i][1] + dy) for i in moves]


def ribbons(line: Points, widths: Sequence[float]) -> list[list[float]]:
    """Return outlines x, y, x, y ... of strips of the given widths along a smooth centre line (N, 2), N at least 2."""
    along = np.empty_like(line)
    along[1:-1] = line[2:] - line[:-2]
    along[0], along[-1] = line[1] - line[0], line[-1] - line[-2]
    normal = along[:, ::-1] * (-0.5, 0.5) / np.sqrt((along * along).sum(1, keepdims=True))
    return [np.concatenate([line + normal * w, (line - normal * w)[::-1]]).ravel().tolist() for w in widths]


def noise(rng: np.random.Generator, height: int, width: int, cell: float) -> Array:
    """Return smooth noise (height, width) of mean 0 and deviation near 1 whose blobs are about `cell` pixels wide."""
    rows, columns = int(np.ceil(height / cell)) + 3, int(np.ceil(width / cell)) + 3
    grid = Image.fromarray(rng.standard_normal((rows, columns), dtype=np.float32))
    # The box keeps blobs of one size whatever the picture's: a larger picture shows more of them, not larger ones.
    box = (1.0, 1.0, 1.0 + width / cell, 1.0 + height / cell)
    smooth = np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC, box=box))
    return smooth * np.float32(1.35)  # interpolation takes about a quarter of the deviation away


def noise_sum(rng: np.random.Generator, height: int, width: int, cells: Mapping[float, float]) -> Array:
    """Return a sum of smooth `noise` (height, width), each of a cell width in pixels times its weight.

    It is made at a quarter of the resolution, which must show the smallest cell, and enlarged once.
    """
    small = (height + 3) // 4, (width + 3) // 4
    coarse = sum((noise(rng, *small, cell / 4) * np.float32(weight) for cell, weight in cells.items()), np.float32(0))
    image = Image.fromarray(np.asarray(coarse, np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=(0, 0, width / 4, height / 4)))


def shifted(picture: Array, dx: int, dy: int) -> Array:
    """Return a picture (H, W) moved by whole pixels; what moves in from outside repeats what is there."""
    height, width = picture.shape
    moved = picture.copy()
    to, back = (max(dy, 0), max(dx, 0)), (max(-dy, 0), max(-dx, 0))
    moved[to[0] : height - back[0], to[1] : width - back[1]] = picture[back[0] : height - to[0], back[1] : width - to[1]]
    return moved
