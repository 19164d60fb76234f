"""Labels that lie on another grid than the image they belong to, or are polygons: read on the grid of the image."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.constants import IGNORE_INDEX
from cdzoo.errors import InputError, require
from cdzoo.io.band_files import image_grid
from cdzoo.io.files import PathLike
from cdzoo.io.georeference import Grid, move
from cdzoo.io.inputs import existing_file
from cdzoo.io.vectors import read_vectors

Values = npt.NDArray[np.int16]
VECTORS = (".gpkg", ".geojson", ".shp", ".parquet")
"""Suffixes of label files that hold polygons."""
OUTSIDE, BACKGROUND, POLYGON = -1, -2, -3
"""Values of pixels that a label raster does not cover, that no polygon covers, and that a polygon without a value covers."""
NAMED = 256
"""Values from here on are classes that polygons name: 256 is class 0."""
_ROWS = 512  # pixels of these rows are located at once
_SAME = 0.01  # largest relative difference of equal pixel sizes


@dataclass(frozen=True)
class Placement:
    """What places labels that are not stored on the grid of their image.

    Attributes:
        image: Image whose grid the labels are read on.
        attribute: Attribute of polygons that holds their value or the name of their class; None if all mean change.
    """

    image: Path
    attribute: str | None = None


def placed_table(table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a table (256,) of the classes of stored values, extended for what `to_grid` and `burn` return."""
    outside, background, polygon = IGNORE_INDEX, 0, 1
    return np.concatenate([table, np.arange(256, dtype=np.uint8), np.array([polygon, background, outside], np.uint8)])


def is_vector(path: PathLike) -> bool:
    """Return whether a label file holds polygons, by its suffix."""
    return str(path).lower().endswith(VECTORS)


def label_files(path: Path) -> list[Path]:
    """Return the files of labels: the path, and those of the attributes and the system of a shapefile."""
    others = [path.with_suffix(suffix) for suffix in (".dbf", ".prj")] if path.suffix.lower() == ".shp" else []
    return [path, *(other for other in others if other.is_file())]


def lies_elsewhere(path: PathLike, image: PathLike) -> bool:
    """Return whether labels have to be brought to the grid of an image: polygons, and rasters of another size or resolution.

    Labels of the same size and resolution at another place are not brought to the grid, because their place may be wrong.

    Raises:
        InputError: A file cannot be read.
    """
    if is_vector(path):
        return True
    own = image_grid(path)
    grid = None if own is None else image_grid(image)
    if own is None or grid is None:
        return False
    scale = abs(own.transform.determinant / grid.transform.determinant)
    return (own.height, own.width) != (grid.height, grid.width) or (own.crs == grid.crs and abs(scale - 1) > 2 * _SAME)


def to_grid(path: PathLike, pixels: npt.NDArray[Any], image: PathLike) -> Values:
    """Return label pixels (h, w) of a raster on the grid of an image (H, W): the one that contains the center of each pixel.

    Args:
        path: The raster, whose georeference places the pixels.
        pixels: Its values, 0 to 255.
        image: Image with a georeference.

    Raises:
        InputError: A file has no georeference, or the labels do not overlap the image.
    """
    own, grid = _grid(path), _grid(image)
    found = np.full((grid.height, grid.width), OUTSIDE, np.int16)
    for first in range(0, grid.height, _ROWS):
        rows = np.arange(first, min(first + _ROWS, grid.height))
        y, x = np.meshgrid(rows + 0.5, np.arange(grid.width) + 0.5, indexing="ij")
        places = own.pixels(move(grid.coordinates(np.column_stack((x.ravel(), y.ravel()))), grid.crs, own.crs))
        inside = np.isfinite(places).all(1) & (places >= 0).all(1) & (places < own.size).all(1)
        columns, lines = places[inside].astype(np.intp).T
        found[first : first + _ROWS].reshape(-1)[inside] = pixels[lines, columns]
    if (found == OUTSIDE).all():
        raise InputError(f"{path}: does not overlap {image} according to its georeference; name the labels of this place")
    return found


def burn(path: PathLike, image: PathLike, attribute: str | None = None, names: Mapping[str, int] | None = None) -> Values:
    """Return the values of polygons on the grid of an image (H, W): of the last one that holds the center of each pixel.

    Args:
        path: File of polygons, in any coordinate reference system.
        image: Image with a georeference.
        attribute: Attribute that holds integers from 0 to 255, or names of classes; None for `POLYGON` everywhere.
        names: Class of each name, in lower case.

    Raises:
        InputError: The image has no georeference, the file has no polygons, no system or another attribute, or a value is wrong.
        MissingDependencyError: geopandas is not installed.
    """
    grid = _grid(image)
    stat = existing_file(path).stat()
    frame = _polygons(str(path), (stat.st_mtime_ns, stat.st_size), grid.crs and grid.crs.to_wkt())
    features, shapely = require("rasterio.features", "geo", f"{path}: reading polygons"), require("shapely", "geo", str(path))
    if attribute is not None and attribute not in frame.columns:
        known = ", ".join(name for name in frame.columns if name != frame.geometry.name)
        raise InputError(f"{path}: the polygons have no attribute '{attribute}'; they have {known}")
    corners = grid.coordinates(np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * grid.size)
    near = frame.iloc[np.sort(frame.sindex.query(shapely.Polygon(corners)))]
    values = [POLYGON] * len(near) if attribute is None else [_value(path, attribute, one, names) for one in near[attribute]]
    found = np.full((grid.height, grid.width), BACKGROUND, np.int16)
    if len(near):
        shapes = zip(near.geometry, values, strict=True)
        features.rasterize(shapes, out=found, transform=grid.transform)
    return found


def _value(path: PathLike, attribute: str, value: Any, names: Mapping[str, int] | None) -> int:
    """Return the value of a polygon: an integer, or `NAMED` and the class of a name."""
    if isinstance(value, str) and names and value.strip().lower() in names:
        return NAMED + names[value.strip().lower()]
    try:
        number = int(float(value))
    except (TypeError, ValueError, OverflowError):
        number = -1
    if not 0 <= number < NAMED or number != float(value):
        allowed = f"integers from 0 to 255, or names of classes ({', '.join(names)})" if names else "integers from 0 to 255"
        raise InputError(f"{path}: the attribute '{attribute}' has the value {value!r}; expected {allowed}")
    return number


@functools.lru_cache(maxsize=8)
def _polygons(path: str, version: object, system: str | None) -> Any:
    """Return the polygons of a version of a file in a system, remembered within this process."""
    frame = read_vectors(path)
    frame = frame[frame.geometry.notna() & ~frame.geometry.is_empty]
    if wrong := sorted({*frame.geom_type} - {"Polygon", "MultiPolygon"}):
        raise InputError(
            f"{path}: has geometries of the type {', '.join(wrong)}; labels are polygons, buffer or remove the others"
        )
    if (frame.crs is None) != (system is None):
        raise InputError(f"{path}: only one of the polygons and the images states a coordinate reference system; add it to both")
    return frame if system is None else frame.to_crs(system)


def _grid(path: PathLike) -> Grid:
    """Return the grid of a raster with a georeference."""
    grid = image_grid(path)
    if grid is None:
        raise InputError(
            f"{path}: has no georeference, so labels of another size and polygons cannot be placed on it; use images with one "
            "(GeoTIFF), or labels of the size of the images"
        )
    return grid
