"""Polygons of changed areas: traced from a change map, cleaned, measured, and written to a vector file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from cdzoo.scenes.areas import area_function
from cdzoo.scenes.config import PolygonCfg
from cdzoo.scenes.geotiff import is_changed, read_change_probability
from cdzoo.scenes.outputs import POLYGONS
from cdzoo.tasks import Task
from cdzoo.tiling import Window

_MAX_PIXELS = 1 << 22  # number of pixels read at once


@dataclass(frozen=True)
class ChangedAreas:
    """Connected areas of one value in the main map other than "no change", largest first.

    Attributes:
        geometry: Cleaned outlines (shapely Polygons), which do not overlap, in the coordinate reference system of the map.
        area: Areas of the outlines: square meters on the ellipsoid of the coordinate reference system, or on its plane if it has
            none; pixels for maps without coordinates.
        pixels: Number of changed pixels of each before cleaning.
        mean_probability: Mean probability of change of these pixels.
        values: Value of each in each map of the task, by name.
    """

    geometry: Array
    area: npt.NDArray[np.float64]
    pixels: npt.NDArray[np.int64]
    mean_probability: npt.NDArray[np.float64]
    values: dict[str, npt.NDArray[np.uint8]]

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


def write_polygons(target: Path, areas: ChangedAreas, crs: Any, task: Task) -> None:
    """Write changed areas as polygons.

    Attributes: `area_m2` (`area_px` for maps without coordinates), `pixels` and `mean_probability`, see `ChangedAreas`; also if
    there is no area. For tasks of several classes, also `class`, the name of the value in the main map, and the names of the
    values in the further maps of more than two, each called as the map.

    Args:
        target: `.gpkg`, `.geojson` (in longitude and latitude, as required by the standard) or `.parquet`.
        areas: Areas of a map.
        crs: Coordinate reference system of the map; None without coordinates.
        task: Task of the model.

    Raises:
        OSError: The file is incomplete, as on a full disk.
    """
    import geopandas

    classes = class_columns(task)
    columns: dict[str, Any] = {title: np.array(names, dtype=object)[areas.values[name]] for title, name, names in classes}
    columns |= {"pixels": areas.pixels, "mean_probability": areas.mean_probability}
    columns["area_m2" if crs is not None else "area_px"] = areas.area
    frame = geopandas.GeoDataFrame(columns, geometry=areas.geometry, crs=crs)
    frame = frame.astype({title: "string" for title, *_ in classes})
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


def class_columns(task: Task) -> list[tuple[str, str, Sequence[str]]]:
    """Return the title of each column of classes, its map, and the names of its values; none for a map of two values."""
    if not task.has_legend:
        return []
    main, *further = task.maps
    columns = [("class", main), *((name, name) for name in further if len(task.maps[name].class_names) > 2)]
    return [(title, name, task.maps[name].class_names) for title, name in columns]


@dataclass(frozen=True)
class Outlines:
    """Outlines of the areas of one value in the main map, as they were traced.

    Attributes:
        polygons: Polygons in pixels, whose vertices are whole numbers.
        grid: Grid of the map.
        pixels: Number of pixels of each.
        total: Sum of their probabilities of change.
        values: Value of each in each map, by name, the main map first.
    """

    polygons: Array
    grid: Grid
    pixels: npt.NDArray[np.float64]
    total: npt.NDArray[np.float64]
    values: dict[str, npt.NDArray[np.uint8]]

    def located(self, polygons: Array) -> Array:
        """Return polygons in the coordinate reference system of the map."""
        import shapely

        moved: Array = shapely.transform(polygons, self.grid.coordinates)
        return moved

    @cached_property
    def areas(self) -> npt.NDArray[np.float64]:
        """Area of each, see `area_function`."""
        return area_function(self.grid.crs)(self.located(self.polygons))

    def class_areas(self, name: str) -> npt.NDArray[np.float64]:
        """Return the total area of each value (256,) of a map."""
        return np.bincount(self.values[name], self.areas, 256).astype(np.float64)


def trace(maps: Mapping[str, Any], probabilities: Any, task: Task) -> Outlines:
    """Return the outlines of the changed areas of open maps and their open probability map.

    Areas are traced once on the whole main map, across windows and blocks; pixels that touch only at corners are not connected.

    Args:
        maps: Open map of each name, the main one first.
        probabilities: Open probability map.
        task: Task of the model.
    """
    import rasterio
    import shapely
    from rasterio.features import shapes
    from shapely.geometry import shape

    main, *_ = maps.values()
    band = rasterio.band(main, 1)
    # The map is used as its own mask, so that zeros are not traced; nodata is traced and skipped.
    traced = [shape(outline) for outline, value in shapes(band, mask=band, connectivity=4) if value != IGNORE_INDEX]
    grid = Grid(main.crs, main.transform, main.height, main.width)
    # In pixels, whose corners are whole numbers.
    polygons = shapely.transform(np.array(traced, dtype=object), lambda points: grid.pixels(points).round())
    return Outlines(polygons, grid, *_sums(maps, probabilities, task, polygons))


def changed_areas(outlines: Outlines, task: Task, cfg: PolygonCfg) -> ChangedAreas:
    """Return the changed areas of traced outlines, cleaned."""
    measure = area_function(outlines.grid.crs)
    polygons, pixels, total = outlines.polygons, outlines.pixels, outlines.total
    kept = np.arange(len(polygons))
    if cfg.fill_holes:
        polygons, owner, kept = cleaning.fill_holes(polygons, lambda holes: measure(outlines.located(holes)) < cfg.fill_holes)
        pixels, total = (np.bincount(owner, values, len(polygons)).astype(np.float64) for values in (pixels, total))
    if cfg.simplify:
        main, *_ = task.maps.values()
        share_borders = len(main.class_names) > 2
        polygons = (cleaning.simplify_coverage if share_borders else cleaning.simplify)(polygons, cfg.simplify)
    located = outlines.located(polygons)
    area = outlines.areas if polygons is outlines.polygons else measure(located)
    order = np.argsort(-area, kind="stable")
    order = order[area[order] >= cfg.min_area]
    mean = np.round(total / np.maximum(pixels, 1), 4)
    values = {name: found[kept][order] for name, found in outlines.values.items()}
    return ChangedAreas(located[order], area[order], pixels[order].astype(np.int64), mean[order], values)


def _sums(
    maps: Mapping[str, Any], probabilities: Any, task: Task, outlines: Array
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], dict[str, npt.NDArray[np.uint8]]]:
    """Return the number of pixels in each outline, the sum of their probabilities, and their values in each map.

    A few rows are read at a time.
    """
    import shapely
    from affine import Affine
    from rasterio.features import rasterize

    main, *_ = maps.values()
    count, total = (np.zeros(len(outlines)) for _ in range(2))
    found = {name: np.zeros(len(outlines), np.uint8) for name in maps}
    bounds = shapely.bounds(outlines).reshape(-1, 4)
    step = max(1, _MAX_PIXELS // (main.width * probabilities.count))
    for row in range(0, main.height, step):
        window = Window(row, 0, min(step, main.height - row), main.width)
        (inside,) = np.nonzero((bounds[:, 1] < row + window.height) & (bounds[:, 3] > row))
        if not len(inside):
            continue
        numbered = zip(outlines[inside], range(1, len(inside) + 1), strict=True)
        size = (window.height, window.width)
        number = rasterize(numbered, size, transform=Affine.translation(0, row), dtype="int32")
        number[~is_changed(main.read(1, window=window.slices))] = 0
        where = number > 0
        number = number[where] - 1
        count[inside] += np.bincount(number, minlength=len(inside))
        values = read_change_probability(probabilities, task, window.slices)[where]
        total[inside] += np.bincount(number, values, len(inside))
        for name, file in maps.items():
            found[name][inside[number]] = file.read(1, window=window.slices)[where]
    return count, total, found
