"""Polygons of changed areas: traced from a change map, cleaned, measured, and written to a vector file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.constants import IGNORE_INDEX
from cdzoo.errors import InputError
from cdzoo.inference.sources import Array
from cdzoo.io.files import PathLike
from cdzoo.io.georeference import Grid
from cdzoo.scenes import cleaning
from cdzoo.scenes.config import PolygonCfg
from cdzoo.scenes.geotiff import decode_probability, is_changed
from cdzoo.scenes.outputs import POLYGONS
from cdzoo.tiling import Window

_MAX_PIXELS = 1 << 22  # number of pixels read at once


@dataclass(frozen=True)
class ChangedAreas:
    """Connected changed areas of a map, largest first.

    Attributes:
        geometry: Cleaned outlines (shapely Polygons), which do not overlap, in the coordinate reference system of the map.
        area: Areas of the outlines: square meters on the ellipsoid of the coordinate reference system, or on its plane if it has
            none; pixels for maps without coordinates.
        pixels: Number of changed pixels of each before cleaning.
        mean_probability: Mean probability of change of these pixels.
    """

    geometry: Array
    area: npt.NDArray[np.float64]
    pixels: npt.NDArray[np.int64]
    mean_probability: npt.NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of areas."""
        return len(self.geometry)


def check_crs(target: Path, image: PathLike, crs: Any) -> None:
    """Check that polygons of the coordinate reference system of an image can be written to a file.

    Raises:
        InputError: The file is a `.geojson`, and the system has no longitudes and latitudes on Earth; or the file is a `.gpkg`,
            and the system, such as a rotated pole, cannot be stored in it.
    """
    from pyproj import CRS, Transformer
    from pyproj.exceptions import ProjError

    suffix = target.suffix.lower()
    try:
        if crs is not None and suffix == ".geojson":
            Transformer.from_crs(crs.to_wkt(), "EPSG:4326")
        elif crs is not None and suffix == ".gpkg":
            CRS.from_wkt(crs.to_wkt()).to_wkt("WKT1_GDAL")  # as pyogrio writes it
    except ProjError as error:
        others = ", ".join(one for one in POLYGONS if one != suffix)
        raise InputError(
            f"{target}: cannot hold the coordinate reference system of {image} ({error}); name the polygons {others}, "
            "or resample the images"
        ) from error


def write_polygons(target: Path, areas: ChangedAreas, crs: Any) -> None:
    """Write changed areas as polygons.

    Attributes: `area_m2` (`area_px` for maps without coordinates), `pixels` and `mean_probability`, see `ChangedAreas`; also if
    there is no area.

    Args:
        target: `.gpkg`, `.geojson` (in longitude and latitude, as required by the standard) or `.parquet`.
        areas: Areas of a map.
        crs: Coordinate reference system of the map; None without coordinates.

    Raises:
        OSError: The file is incomplete, as on a full disk.
    """
    import geopandas

    columns = {"pixels": areas.pixels, "mean_probability": areas.mean_probability}
    columns["area_m2" if crs is not None else "area_px"] = areas.area
    frame = geopandas.GeoDataFrame(columns, geometry=areas.geometry, crs=crs)
    suffix = target.suffix.lower()
    if suffix == ".geojson" and crs is not None:
        frame = frame.to_crs("EPSG:4326")
    if suffix == ".parquet":
        frame.to_parquet(target)
    else:
        import pyogrio

        frame.to_file(target, driver=POLYGONS[suffix], layer="change", engine="pyogrio", geometry_type="Polygon")
        if pyogrio.read_info(target, force_feature_count=True)["features"] != len(frame):
            raise OSError("the file is incomplete")


def traced_areas(masks: Any, probabilities: Any, cfg: PolygonCfg) -> ChangedAreas:
    """Return the changed areas of an open map and its open probability map.

    Areas are traced once on the whole map, across windows and blocks; pixels that touch only at corners are not connected.
    """
    import rasterio
    import shapely
    from rasterio.features import shapes
    from shapely.geometry import shape

    band = rasterio.band(masks, 1)
    # The map is used as its own mask, so that zeros are not traced; nodata is traced and skipped.
    traced = [shape(outline) for outline, value in shapes(band, mask=band, connectivity=4) if value != IGNORE_INDEX]
    grid, measure = Grid(masks.crs, masks.transform, masks.height, masks.width), _area_function(masks.crs)
    # In pixels, whose corners are whole numbers.
    outlines = shapely.transform(np.array(traced, dtype=object), lambda points: grid.pixels(points).round())
    pixels, total = _sums(masks, probabilities, outlines)

    def located(polygons: Array) -> Array:
        moved: Array = shapely.transform(polygons, grid.coordinates)
        return moved

    if cfg.fill_holes:
        outlines, owner = cleaning.fill_holes(outlines, lambda holes: measure(located(holes)) < cfg.fill_holes)
        pixels, total = (np.bincount(owner, values, len(outlines)).astype(np.float64) for values in (pixels, total))
    if cfg.simplify:
        outlines = cleaning.simplify(outlines, cfg.simplify)
    outlines = located(outlines)
    area = measure(outlines)
    order = np.argsort(-area, kind="stable")
    order = order[area[order] >= cfg.min_area]
    mean = np.round(total / np.maximum(pixels, 1), 4)
    return ChangedAreas(outlines[order], area[order], pixels[order].astype(np.int64), mean[order])


def _sums(masks: Any, probabilities: Any, outlines: Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the number of changed pixels in each outline and the sum of their probabilities, reading a few rows at a time."""
    import shapely
    from affine import Affine
    from rasterio.features import rasterize

    count, total = (np.zeros(len(outlines)) for _ in range(2))
    bounds = shapely.bounds(outlines).reshape(-1, 4)
    step = max(1, _MAX_PIXELS // masks.width)
    for row in range(0, masks.height, step):
        window = Window(row, 0, min(step, masks.height - row), masks.width)
        (inside,) = np.nonzero((bounds[:, 1] < row + window.height) & (bounds[:, 3] > row))
        if not len(inside):
            continue
        numbered = zip(outlines[inside], range(1, len(inside) + 1), strict=True)
        size = (window.height, window.width)
        number = rasterize(numbered, size, transform=Affine.translation(0, row), dtype="int32")
        number[~is_changed(masks.read(1, window=window.slices))] = 0
        values = decode_probability(probabilities.read(1, window=window.slices))[number > 0]
        number = number[number > 0] - 1
        count[inside] += np.bincount(number, minlength=len(inside))
        total[inside] += np.bincount(number, values, len(inside))
    return count, total


def _area_function(crs: Any) -> Callable[[Array], npt.NDArray[np.float64]]:
    """Return a function from polygons to their areas, see `ChangedAreas.area`."""
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
