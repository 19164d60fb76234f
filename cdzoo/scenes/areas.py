"""Areas of polygons on the ground."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.inference.sources import Array
from cdzoo.io.georeference import Grid
from cdzoo.tiling import Window

_STEPS = (16, 256)  # rows and columns between pixels whose areas are computed; in degrees, areas change from row to row


def area_function(crs: Any) -> Callable[[Array], npt.NDArray[np.float64]]:
    """Return a function from polygons in a coordinate reference system to their areas.

    Areas are square meters on its ellipsoid, or on its plane if it has none; pixels without a system.
    """
    import shapely

    if crs is None:
        return lambda polygons: np.asarray(shapely.area(polygons), np.float64).reshape(-1)
    from pyproj import CRS, Transformer

    system = CRS.from_wkt(crs.to_wkt())
    geod = system.get_geod()
    if system.geodetic_crs is None or geod is None:  # of a site or a ship
        factor = system.axis_info[0].unit_conversion_factor ** 2 if system.axis_info else 1.0
        return lambda polygons: np.asarray(shapely.area(polygons), np.float64).reshape(-1) * factor
    base = system.geodetic_crs
    while base.is_derived:  # from a rotated pole
        base = base.source_crs
    to_degrees = Transformer.from_crs(system, base, always_xy=True).transform

    def area(polygons: Array) -> npt.NDArray[np.float64]:
        rings, owner = shapely.get_rings(polygons, return_index=True)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        longitude, latitude = to_degrees(*points.T)
        edges = np.searchsorted(ring, np.arange(len(rings) + 1))
        spans = [slice(first, last) for first, last in pairwise(edges)]
        sizes = np.array([abs(geod.polygon_area_perimeter(longitude[span], latitude[span])[0]) for span in spans])
        is_hole = np.diff(owner, prepend=-1) == 0  # the first ring of a polygon is its outline
        return np.bincount(owner, np.where(is_hole, -sizes, sizes) if len(rings) else None, len(polygons)).astype(np.float64)

    return area


def pixel_areas(
    grid: Grid, window: Window, area: Callable[[Array], npt.NDArray[np.float64]] | None = None
) -> npt.NDArray[np.float64]:
    """Return the area (height, width) of each pixel of a window on the ground, in the units of `area_function`.

    Args:
        grid: Grid of the map.
        window: Part of the map.
        area: Function from `area_function` of the system of the grid.
    """
    import shapely

    sizes = zip((window.height, window.width), _STEPS, strict=True)
    rows, columns = (np.unique(np.r_[0:size:step, size - 1]) for size, step in sizes)
    left, top = (axis.ravel() for axis in np.meshgrid(window.x + columns, window.y + rows))
    pixels = shapely.transform(shapely.box(left, top, left + 1, top + 1), grid.coordinates)
    known = (area or area_function(grid.crs))(pixels).reshape(len(rows), len(columns))
    across = np.stack([np.interp(np.arange(window.width), columns, line) for line in known])
    place = np.interp(np.arange(window.height), rows, np.arange(len(rows)))
    upper = np.floor(place).astype(np.int64)
    part = (place - upper)[:, None]
    return across[upper] * (1 - part) + across[np.minimum(upper + 1, len(rows) - 1)] * part
