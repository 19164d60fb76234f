"""Shared geometry, random numbers and noise. Coordinates are (x, y) in pixels, x to the right and y down."""

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
    """Rotated rectangle.

    Attributes:
        x: Horizontal position of the center.
        y: Vertical position of the center.
        length: Side length in the direction `angle`, in pixels.
        width: Side length perpendicular to it.
        angle: Rotation in radians.
    """

    x: float
    y: float
    length: float
    width: float
    angle: float

    # Python floats, because NumPy's overhead dominates for four corners.

    @cached_property
    def axis(self) -> Point:
        """Unit vector along `angle`."""
        return math.cos(self.angle), math.sin(self.angle)

    def at(self, along: float, across: float) -> Point:
        """Return the point with the offsets `along` and `across` from the center, in the frame of the rectangle."""
        cos, sin = self.axis
        return self.x + along * cos - across * sin, self.y + along * sin + across * cos

    def corners(self, margin: float = 0.0, offset: Point = (0.0, 0.0)) -> list[Point]:
        """Return the four corners of the rectangle, expanded by `margin` pixels and translated by `offset`."""
        cos, sin = self.axis
        a, b = self.length / 2 + margin, self.width / 2 + margin
        lx, ly, wx, wy = a * cos, a * sin, -b * sin, b * cos
        x, y = self.x + offset[0], self.y + offset[1]
        return [(x - lx - wx, y - ly - wy), (x + lx - wx, y + ly - wy), (x + lx + wx, y + ly + wy), (x - lx + wx, y - ly + wy)]

    def near(self, width: int, height: int, margin: float) -> bool:
        """Return whether the rectangle may overlap a canvas of `width` x `height` expanded by `margin`."""
        reach = (self.length + self.width) / 2 + margin
        return -reach < self.x < width + reach and -reach < self.y < height + reach


Face = tuple[float, tuple[Point, ...]]
"""Direction that a face of a roof slopes down to, in radians, and its corners."""


def hip_faces(wing: Rect, rise: Point = (0.0, 0.0)) -> tuple[list[Face], tuple[Point, Point]]:
    """Return the faces of a hip roof and its ridge; `rise` is the displacement of the ridge in an oblique view."""
    angle, long, short = wing.angle, wing.length / 2, wing.width / 2
    if short > long:
        angle, long, short = angle + math.pi / 2, short, long
    roof = Rect(wing.x, wing.y, 2 * long, 2 * short, angle)
    a, b, c, d = roof.at(-long, -short), roof.at(long, -short), roof.at(long, short), roof.at(-long, short)
    start, end = ((x + rise[0], y + rise[1]) for x, y in (roof.at(short - long, 0), roof.at(long - short, 0)))
    faces = ((0, (b, c, end)), (2, (d, a, start)), (1, (c, d, start, end)), (3, (a, b, end, start)))
    return [(angle + quarter * math.pi / 2, face) for quarter, face in faces], (start, end)


def gable_faces(wing: Rect, overlap: float = 0.0) -> tuple[list[Face], tuple[Point, Point]]:
    """Return the faces of a gable roof and its ridge, which extends backward by `overlap` half widths."""
    front, back, half = wing.length / 2, -wing.length / 2, wing.width / 2
    tip, end = wing.at(back - half * overlap, 0), wing.at(front, 0)
    faces = [(side, (wing.at(front, side * half), end, tip, wing.at(back, side * half))) for side in (-1, 1)]
    return [(wing.angle + side * math.pi / 2, face) for side, face in faces], (tip, end)


def inside_any(rects: list[Rect], points: Points, margin: float) -> npt.NDArray[np.bool_]:
    """Return which points (N, 2) are inside any of the rectangles, expanded by `margin`."""
    if not rects:
        return np.zeros(len(points), bool)
    x, y, length, width, angle = np.array([(r.x, r.y, r.length, r.width, r.angle) for r in rects]).T[:, None]
    dx, dy = points[:, :1] - x, points[:, 1:] - y
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    inside = (np.abs(along) <= length / 2 + margin) & (np.abs(across) <= width / 2 + margin)
    return np.asarray(inside.any(1))


class Random:
    """Random numbers drawn in blocks of 512, because one NumPy call per number would take half of the time of a scene."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._block: list[float] = []

    def random(self) -> float:
        """Return a number in [0, 1)."""
        if not self._block:
            self._block = self._rng.random(512).tolist()
        return self._block.pop()

    def uniform(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self.random()

    def triangular(self, mean: float, std: float) -> float:
        """Return a number from a symmetric triangular distribution."""
        return mean + std * 6**0.5 * (self.random() + self.random() - 1)

    def choice(self, options: Sequence[T]) -> T:
        """Return a random element of `options`."""
        return options[int(self.random() * len(options))]


def swept_outline(points: list[Point], dx: float, dy: float) -> list[Point]:
    """Return the outline of a convex polygon swept along (dx, dy), which is its shadow on flat ground."""
    across = [x * dy - y * dx for x, y in points]
    along = [x * dx + y * dy for x, y in points]
    count, left, right = len(points), across.index(max(across)), across.index(min(across))
    # The two extreme corners split the polygon into a fixed and a translated chain.
    one = [(left + i) % count for i in range((right - left) % count + 1)]
    other = [(right + i) % count for i in range((left - right) % count + 1)]
    mean, other_mean = sum([along[i] for i in one]) / len(one), sum([along[i] for i in other]) / len(other)
    fixed, moved = (one, other) if (mean, one) < (other_mean, other) else (other, one)
    return [points[i] for i in fixed] + [(points[i][0] + dx, points[i][1] + dy) for i in moved]


def ribbons(line: Points, widths: Sequence[float]) -> list[list[float]]:
    """Return the outlines [x, y, x, y, ...] of strips of the given widths along a smooth center line (N, 2), N >= 2."""
    along = np.empty_like(line)
    along[1:-1] = line[2:] - line[:-2]
    along[0], along[-1] = line[1] - line[0], line[-1] - line[-2]
    normal = along[:, ::-1] * (-0.5, 0.5) / np.sqrt((along * along).sum(1, keepdims=True))
    return [np.concatenate([line + normal * w, (line - normal * w)[::-1]]).ravel().tolist() for w in widths]


def noise(rng: np.random.Generator, height: int, width: int, cell: float) -> Array:
    """Return smooth noise (height, width) of mean 0, standard deviation near 1 and correlation length `cell` pixels."""
    rows, columns = int(np.ceil(height / cell)) + 3, int(np.ceil(width / cell)) + 3
    grid = Image.fromarray(rng.standard_normal((rows, columns), dtype=np.float32))
    # The box keeps the scale of the noise independent of the image size.
    box = (1.0, 1.0, 1.0 + width / cell, 1.0 + height / cell)
    smooth = np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC, box=box))
    return smooth * np.float32(1.35)  # interpolation reduces the standard deviation by about a quarter


def noise_sum(rng: np.random.Generator, height: int, width: int, cells: Mapping[float, float]) -> Array:
    """Return a weighted sum of smooth noise (height, width).

    The sum is generated at a quarter of the resolution and upsampled once, so cells must not be smaller than 4 pixels.

    Args:
        rng: Random generator.
        height: Height in pixels.
        width: Width in pixels.
        cells: Weight per cell size in pixels.
    """
    small = (height + 3) // 4, (width + 3) // 4
    coarse = sum((noise(rng, *small, cell / 4) * np.float32(weight) for cell, weight in cells.items()), np.float32(0))
    image = Image.fromarray(np.asarray(coarse, np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=(0, 0, width / 4, height / 4)))


def shifted(image: Array, dx: int, dy: int) -> Array:
    """Return an image (H, W) translated by whole pixels; pixels without a source keep their value."""
    height, width = image.shape
    moved = image.copy()
    to, back = (max(dy, 0), max(dx, 0)), (max(-dy, 0), max(-dx, 0))
    moved[to[0] : height - back[0], to[1] : width - back[1]] = image[back[0] : height - to[0], back[1] : width - to[1]]
    return moved
