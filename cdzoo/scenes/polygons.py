"""Polygons of changed areas: traced from a change map, cleaned, measured, and written to a vector file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cdzoo.constants import IGNORE_INDEX
from cdzoo.io.files import replace_atomically
from cdzoo.scenes.config import PolygonCfg
from cdzoo.scenes.geotiff import decode_probability, is_changed
from cdzoo.scenes.outputs import POLYGONS

_MAX_PIXELS = 1 << 22  # number of pixels read at once


@dataclass(frozen=True)
class ChangedArea:
    """One connected changed area of a map.

    Attributes:
        geometry: Cleaned outline (shapely Polygon) in the coordinate reference system of the map.
        area: Area of the outline: square meters on the WGS 84 ellipsoid, or pixels for maps without coordinates.
        pixels: Number of changed pixels before cleaning.
        mean_probability: Mean probability of change of these pixels.
    """

    geometry: Any
    area: float
    pixels: int
    mean_probability: float


def write_polygons(target: Path, areas: Sequence[ChangedArea], crs: Any) -> None:
    """Write changed areas as polygons.

    Attributes: `area_m2` (`area_px` for maps without coordinates), `pixels` and `mean_probability`, see `ChangedArea`.

    Args:
        target: `.gpkg`, `.geojson` (in longitude and latitude, as required by the standard) or `.parquet`.
        areas: Areas of a map.
        crs: Coordinate reference system of the map; None without coordinates.
    """
    import geopandas

    columns = {
        "pixels": [area.pixels for area in areas],
        "mean_probability": [area.mean_probability for area in areas],
        "area_m2" if crs is not None else "area_px": [area.area for area in areas],
    }
    frame = geopandas.GeoDataFrame(columns, geometry=[area.geometry for area in areas], crs=crs)
    suffix = target.suffix.lower()
    if suffix == ".geojson" and crs is not None:
        frame = frame.to_crs("EPSG:4326")
    with replace_atomically(target) as temporary:
        if suffix == ".parquet":
            frame.to_parquet(temporary)
        else:
            frame.to_file(temporary, driver=POLYGONS[suffix], layer="change", engine="pyogrio")


def traced_areas(masks: Any, probabilities: Any, cfg: PolygonCfg) -> list[ChangedArea]:
    """Return the changed areas of an open map and its open probability map, largest first.

    Areas are traced on the whole map, across windows and blocks; pixels that touch only at corners are not connected.
    """
    import rasterio
    from rasterio.features import shapes
    from shapely.geometry import shape

    areas: list[ChangedArea] = []
    pixel = abs(masks.transform.determinant) ** 0.5
    measure = _area_function(masks.crs)
    band = rasterio.band(masks, 1)
    # The map is used as its own mask, so that zeros are not traced; nodata is traced and skipped.
    for geometry, value in shapes(band, mask=band, transform=masks.transform, connectivity=4):
        if value == IGNORE_INDEX:
            continue
        polygon = shape(geometry)
        pixels, mean = _statistics(masks, probabilities, polygon)
        if cfg.fill_holes:
            polygon = _fill_holes(polygon, cfg.fill_holes, measure)
        if cfg.simplify:
            polygon = polygon.simplify(cfg.simplify * pixel, preserve_topology=True)
        area = measure(polygon)
        if area >= cfg.min_area and not polygon.is_empty:
            areas.append(ChangedArea(polygon, area, pixels, mean))
    return sorted(areas, key=lambda area: -area.area)


def _statistics(masks: Any, probabilities: Any, polygon: Any) -> tuple[int, float]:
    """Return the number of changed pixels in a polygon and their mean probability, reading a few rows at a time."""
    from rasterio.features import geometry_window, rasterize
    from rasterio.windows import Window
    from rasterio.windows import transform as window_transform

    bounds = geometry_window(masks, [polygon])
    step = max(1, _MAX_PIXELS // bounds.width)
    count, total = 0, 0.0
    for row in range(0, bounds.height, step):
        window = Window(bounds.col_off, bounds.row_off + row, bounds.width, min(step, bounds.height - row))
        values = decode_probability(probabilities.read(1, window=window))
        inside = rasterize([polygon], values.shape, transform=window_transform(window, masks.transform), dtype="uint8") == 1
        inside &= is_changed(masks.read(1, window=window))
        count += int(inside.sum())
        total += float(values[inside].sum(dtype=np.float64))
    return count, round(total / count, 4)


def _fill_holes(polygon: Any, min_area: float, measure: Callable[[Any], float]) -> Any:
    from shapely.geometry import Polygon

    return Polygon(polygon.exterior, [ring for ring in polygon.interiors if measure(Polygon(ring)) >= min_area])


def _area_function(crs: Any) -> Callable[[Any], float]:
    """Return a function from a polygon to its area, see `ChangedArea.area`."""
    if crs is None:
        return lambda polygon: float(polygon.area)
    import shapely
    from pyproj import Geod, Transformer
    from shapely.geometry.polygon import orient

    to_degrees = Transformer.from_crs(crs.to_wkt(), "EPSG:4326", always_xy=True).transform
    geod = Geod(ellps="WGS84")

    def area(polygon: Any) -> float:
        degrees = shapely.transform(polygon, lambda points: np.column_stack(to_degrees(*points.T)))
        return abs(float(geod.geometry_area_perimeter(orient(degrees))[0]))

    return area
