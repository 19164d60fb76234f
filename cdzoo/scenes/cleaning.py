"""Cleaning of polygons that do not overlap, after which they still do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Polygons = npt.NDArray[Any]


def fill_holes(
    polygons: Polygons, is_filled: Callable[[Polygons], npt.NDArray[np.bool_]]
) -> tuple[Polygons, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Fill holes of polygons; the polygons in a filled hole become part of the polygon around them.

    Args:
        polygons: Polygons that do not overlap.
        is_filled: Function from holes (as polygons) to whether they are filled.

    Returns:
        The remaining polygons, for each of the given ones the index of that of which it is part, and for each remaining one the
        index of the given one with its outline.
    """
    import shapely

    everyone = np.arange(len(polygons))
    rings, around = shapely.get_rings(polygons, return_index=True)
    is_hole = np.diff(around, prepend=-1) == 0
    holes, around = shapely.polygons(rings[is_hole]), around[is_hole]
    if not len(holes):
        return polygons, everyone, everyone
    filled = is_filled(holes)
    owner = everyone.copy()
    inner, hole = shapely.STRtree(holes[filled]).query(shapely.point_on_surface(polygons), predicate="within")
    owner[inner] = around[filled][hole]
    while (owner != owner[owner]).any():  # in a hole of a polygon that is itself in a filled hole
        owner = owner[owner]
    cleaned = polygons.copy()
    for index in np.unique(around[filled]):
        own = slice(*np.searchsorted(around, (index, index + 1)))
        kept = holes[own][~filled[own]]
        cleaned[index] = shapely.Polygon(polygons[index].exterior, [hole.exterior for hole in kept])
    remaining, part = np.unique(owner, return_inverse=True)
    return cleaned[remaining], part, remaining


def simplify(polygons: Polygons, tolerance: float) -> Polygons:
    """Simplify outlines by at most a distance; those that would overlap others, or be invalid, keep every vertex.

    Args:
        polygons: Polygons that do not overlap.
        tolerance: Distance, in their unit.
    """
    import shapely

    simplified = shapely.simplify(polygons, tolerance, preserve_topology=True)
    kept = ~shapely.is_valid(simplified) | shapely.is_empty(simplified)
    simplified[kept] = polygons[kept]
    while (wrong := _overlapping(simplified)).any():
        simplified[wrong] = polygons[wrong]
    return simplified


def simplify_coverage(polygons: Polygons, tolerance: float) -> Polygons:
    """Simplify outlines of polygons that may share borders, so that they share them afterwards.

    Vertices are removed whose triangle with their neighbors is smaller than the square of the tolerance (Visvalingam and Whyatt,
    1993).

    Args:
        polygons: Polygons that do not overlap, whose vertices are whole numbers and whose edges are parallel to the axes.
        tolerance: Distance, in their unit.
    """
    import shapely

    # A vertex at each whole number, so that both sides of a border have the same.
    matched = shapely.transform(shapely.segmentize(polygons, 1.0), np.round)
    simplified: Polygons = shapely.coverage_simplify(matched, tolerance)
    return simplified


def _overlapping(polygons: Polygons) -> npt.NDArray[np.bool_]:
    """Return which polygons share more than points and lines with another one."""
    import shapely

    first, second = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    first, second = first[first < second], second[first < second]
    overlaps = shapely.relate_pattern(polygons[first], polygons[second], "T********")
    found = np.zeros(len(polygons), np.bool_)
    found[first[overlaps]] = found[second[overlaps]] = True
    return found
