"""Outlines of natural shapes. Lengths are in meters."""

from __future__ import annotations

import math

from cdzoo.data.synthetic.shapes import Point, Random


def blob(rand: Random, x: float, y: float, radius: float, count: int = 14) -> list[Point]:
    """Return a round, uneven outline."""
    a, b = rand.uniform(0, 2 * math.pi), rand.uniform(0, 2 * math.pi)
    stretch, turn = rand.uniform(0.5, 1), rand.uniform(0, math.pi)
    points = []
    for i in range(count):
        phi = 2 * math.pi * i / count
        r = radius * (1 + 0.22 * math.sin(2 * phi + a) + 0.16 * math.sin(3 * phi + b))
        u, v = r * math.cos(phi), stretch * r * math.sin(phi)
        points.append((x + u * math.cos(turn) - v * math.sin(turn), y + u * math.sin(turn) + v * math.cos(turn)))
    return points


def walk(rand: Random, size: Point, length: int, step: float, wiggle: float) -> list[Point]:
    """Return the points of a winding path that starts anywhere in an area of `size`."""
    x, y = rand.uniform(0, size[0]), rand.uniform(0, size[1])
    angle, curvature = rand.uniform(0, 2 * math.pi), rand.uniform(-wiggle, wiggle) / 2
    path: list[Point] = []
    for _ in range(length):
        path.append((x, y))
        angle += curvature + rand.uniform(-wiggle, wiggle)
        x, y = x + step * math.cos(angle), y + step * math.sin(angle)
    return path


def circle(x: float, y: float, radius: float) -> list[Point]:
    """Return the outline of a circle."""
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in (i * math.pi / 8 for i in range(16))]


def pairs(flat: list[float]) -> list[Point]:
    """Return [x, y, x, y, ...] as points."""
    return list(zip(flat[::2], flat[1::2], strict=True))
