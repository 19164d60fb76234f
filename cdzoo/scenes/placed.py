"""Polygons of any file in the pixels of a map: converted, repaired, and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.errors import InputError
from cdzoo.inference.sources import Array
from cdzoo.io.georeference import Grid
from cdzoo.scenes.areas import area_function

_POLYGONAL = (3, 6)  # types of geometries: Polygon, MultiPolygon


@dataclass(frozen=True)
class PlacedPolygons:
    """Polygons in the pixels of a map.

    Attributes:
        pixels: Valid polygons (n,) of shapely, in columns and rows from the upper left corner of the map; empty without one.
        area: Their areas (n,), see `area_function`; NaN without a polygon.
        inside: Share (n,) of each that lies within the map.
        remarks: Why there is no polygon (n,), or that it was repaired; else empty.
    """

    pixels: Array
    area: npt.NDArray[np.float64]
    inside: npt.NDArray[np.float64]
    remarks: Array


def check_placed(name: object, frame: Any, grid: Grid) -> None:
    """Check that polygons have the kind of coordinates that a map has.

    Raises:
        InputError: Only one of them has a coordinate reference system.
    """
    if frame.crs is None and grid.crs is not None:
        raise InputError(
            f"{name}: the polygons have no coordinate reference system; state it, for example with "
            "ogr2ogr -a_srs EPSG:CODE NEW.gpkg FILE"
        )
    # GeoJSON without a system counts as longitudes and latitudes, and is what maps without one have polygons in.
    if grid.crs is None and frame.crs is not None and not str(name).lower().endswith("json"):
        raise InputError(
            f"{name}: the polygons have a coordinate reference system and the map has none; assign that of the map: "
            "gdal_edit.py -a_srs EPSG:CODE -a_ullr LEFT TOP RIGHT BOTTOM MAP"
        )


def place_polygons(frame: Any, grid: Grid) -> PlacedPolygons:
    """Return the polygons of a GeoDataFrame in the pixels of a map."""
    import shapely

    given = frame.geometry.to_numpy()
    remarks = np.full(len(frame), "", dtype=object)
    remarks[shapely.is_missing(given)] = "no geometry"
    remarks[~shapely.is_missing(given) & shapely.is_empty(given)] = "empty geometry"
    remarks[(remarks == "") & ~np.isin(shapely.get_type_id(given), _POLYGONAL)] = "not a polygon"
    located = np.where(remarks == "", _converted(frame, grid), shapely.Polygon())
    remarks[(remarks == "") & shapely.is_empty(located)] = "has no place in the coordinate reference system of the map"
    is_invalid = ~shapely.is_valid(located)
    located[is_invalid] = [_polygonal(one) for one in shapely.make_valid(located[is_invalid])]
    has_area = shapely.area(located) > 0
    remarks[(remarks == "") & ~has_area] = "no area"
    located[~has_area] = shapely.Polygon()
    remarks[is_invalid & has_area] = "invalid outline, repaired for the statistics"
    pixels = shapely.transform(located, grid.pixels)
    inside = _share_inside(pixels, grid)
    remarks[(inside == 0) & has_area] = "outside the map"
    pixels[inside == 0] = shapely.Polygon()
    return PlacedPolygons(pixels, _areas(located, grid), inside, remarks)


def _converted(frame: Any, grid: Grid) -> Array:
    """Return the geometries in the system of the map, in the turn of its longitudes; those without a place are empty."""
    import shapely
    from shapely import affinity

    shapes = frame.geometry
    if grid.crs is not None and frame.crs is not None:
        shapes = shapes.to_crs(grid.crs.to_wkt())
    shapes = shapely.force_2d(shapes.to_numpy())
    bounds = shapely.bounds(shapes).reshape(-1, 4)
    shapes[~np.isfinite(bounds).all(1)] = shapely.Polygon()
    if grid.crs is not None and grid.crs.is_geographic:
        center = grid.coordinates(grid.size[None] / 2)[0, 0]
        turns = 360 * np.round((center - bounds[:, [0, 2]].mean(1)) / 360)
        for index in np.flatnonzero(np.isfinite(turns) & (turns != 0)):
            shapes[index] = affinity.translate(shapes[index], xoff=turns[index])
    return shapes


def _polygonal(shape: Any) -> Any:
    """Return the polygons among the parts of a repaired geometry."""
    import shapely

    parts = shapely.get_parts(shape)
    return shapely.union_all([part for part in parts if shapely.get_type_id(part) in _POLYGONAL])


def _share_inside(pixels: Array, grid: Grid) -> npt.NDArray[np.float64]:
    """Return the share of polygons within the map."""
    import shapely

    left, top, right, bottom = shapely.bounds(pixels).reshape(-1, 4).T
    width, height = grid.size
    inside = ((left >= 0) & (top >= 0) & (right <= width) & (bottom <= height)).astype(np.float64)
    across = (inside == 0) & (left < width) & (top < height) & (right > 0) & (bottom > 0)
    within = shapely.intersection(pixels[across], shapely.box(0, 0, width, height))
    inside[across] = shapely.area(within) / shapely.area(pixels[across])
    return inside


def _areas(located: Array, grid: Grid) -> npt.NDArray[np.float64]:
    import shapely

    parts, owner = shapely.get_parts(located, return_index=True)
    areas = np.bincount(owner, area_function(grid.crs)(parts), len(located)).astype(np.float64)
    return np.where(shapely.is_empty(located), np.nan, areas)
