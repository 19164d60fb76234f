"""Labels that lie on another grid than the image they belong to, or are polygons: read on the grid of the image."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.constants import IGNORE_INDEX
from cdzoo.errors import InputError, require
from cdzoo.io.band_files import band_files, image_grid
from cdzoo.io.files import PathLike
from cdzoo.io.georeference import Grid, grid_of, move
from cdzoo.io.inputs import existing_file
from cdzoo.io.rasters import open_raster
from cdzoo.io.vectors import read_vectors

Values = npt.NDArray[np.int16]
Slices = tuple[slice, slice]
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
        part: Grid to read them on instead, such as that of a part of the image; labels may be elsewhere then.
        whole: Grid of the image; by default that of its first file.
    """

    image: Path
    attribute: str | None = None
    part: Grid | None = None
    whole: Grid | None = None

    @property
    def grid(self) -> Grid:
        """Grid that the labels are read on.

        Raises:
            InputError: The image has no georeference.
        """
        return self.part or _checked(self.image, self.whole or _stored_grid(self.image))


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


def to_grid(path: PathLike, read: Callable[[Slices | None], npt.NDArray[Any]], placement: Placement) -> Values:
    """Return label pixels of a raster on the grid of a placement (H, W): the one that contains the center of each pixel.

    Args:
        path: The raster, whose georeference places the pixels.
        read: Returns the values, 0 to 255, of some rows and columns of the raster, or of all of it.
        placement: The grid. Of labels of a part of an image, what is needed is read.

    Raises:
        InputError: A file has no georeference, or the labels do not overlap the image.
    """
    grid = placement.grid
    own = _label_grid(path, placement.whole or _stored_grid(placement.image))
    found = np.full((grid.height, grid.width), OUTSIDE, np.int16)
    whole = read(None) if placement.part is None else None
    for first in range(0, grid.height, _ROWS):
        target = found[first : first + _ROWS]
        lines, columns, inside = _located(own, grid, range(first, first + len(target)))
        if not inside.any():
            continue
        pixels, y, x = whole, 0, 0
        if pixels is None:
            (y, stop), (x, end) = ((int(axis[inside].min()), int(axis[inside].max()) + 1) for axis in (lines, columns))
            pixels = read((slice(y, stop), slice(x, end)))
        target[inside] = pixels[lines[inside] - y, columns[inside] - x]
    if placement.part is None and (found == OUTSIDE).all():
        raise InputError(
            f"{path}: does not overlap {placement.image} according to its georeference; name the labels of this place"
        )
    return found


def _located(own: Grid, grid: Grid, rows: range) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return the row and column in a raster of each pixel center in some rows of a grid, and which are inside the raster."""
    x, y = np.arange(grid.width) + 0.5, np.arange(rows.start, rows.stop) + 0.5
    one, two = grid.transform, own.transform
    if own.crs == grid.crs and not any((one.b, one.d, two.b, two.d)):  # axes are parallel
        column, row = (x * one.a + (one.c - two.c)) / two.a, (y * one.e + (one.f - two.f)) / two.e
        across, down = np.broadcast_arrays(column, row[:, None])
    else:
        places = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
        places = own.pixels(move(grid.coordinates(places), grid.crs, own.crs))
        across, down = places.T.reshape(2, len(y), len(x))
    known = np.isfinite(across) & np.isfinite(down)
    # A center on the border of two pixels belongs to the second one, whatever the last digits of the coordinates are.
    columns, lines = (np.floor(np.round(np.where(known, axis, -1), 6)).astype(np.intp) for axis in (across, down))
    return lines, columns, known & (columns >= 0) & (lines >= 0) & (columns < own.width) & (lines < own.height)


def burn(path: PathLike, placement: Placement, names: Mapping[str, int] | None = None) -> Values:
    """Return the values of polygons on the grid of a placement (H, W): of the last one that holds the center of each pixel.

    Args:
        path: File of polygons, in any coordinate reference system.
        placement: The grid, and the attribute that holds integers from 0 to 255, or names of classes; without one, `POLYGON`
            everywhere.
        names: Class of each name, in lower case.

    Raises:
        InputError: The image has no georeference, the file has no polygons, no system or another attribute, or a value is wrong.
        MissingDependencyError: geopandas is not installed.
    """
    grid, attribute = placement.grid, placement.attribute
    features = require("rasterio.features", "geo", f"{path}: reading polygons")
    near = polygons_near(path, grid)
    values = [POLYGON] * len(near) if attribute is None else _values(path, near, attribute, names)
    found = np.full((grid.height, grid.width), BACKGROUND, np.int16)
    if len(near):
        shapes = zip(near.geometry, values, strict=True)
        features.rasterize(shapes, out=found, transform=grid.transform)
    return found


def attribute_values(path: PathLike, attribute: str) -> list[int]:
    """Return the value of each polygon of a file.

    Raises:
        InputError: As for `burn`.
    """
    return _values(path, read_vectors(path), attribute, None)


def polygons_near(path: PathLike, grid: Grid) -> Any:
    """Return the polygons of a file that meet a grid, as a GeoDataFrame in its coordinate reference system.

    Raises:
        InputError: The file has no polygons, or only one of the file and the grid has a coordinate reference system.
        MissingDependencyError: geopandas is not installed.
    """
    shapely = require("shapely", "geo", f"{path}: reading polygons")
    stat = existing_file(path).stat()
    frame = _polygons(str(path), (stat.st_mtime_ns, stat.st_size), grid.crs and grid.crs.to_wkt())
    corners = grid.coordinates(np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * grid.size)
    return frame.iloc[np.sort(frame.sindex.query(shapely.Polygon(corners), predicate="intersects"))]


def _values(path: PathLike, frame: Any, attribute: str, names: Mapping[str, int] | None) -> list[int]:
    if attribute not in frame.columns:
        known = ", ".join(name for name in frame.columns if name != frame.geometry.name)
        raise InputError(f"{path}: the polygons have no attribute '{attribute}'; they have {known}")
    return [_value(path, attribute, one, names) for one in frame[attribute]]


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
        raise InputError(f"{path}: has geometries of the type {', '.join(wrong)}; expected polygons, buffer or remove the others")
    if (frame.crs is None) != (system is None):
        raise InputError(
            f"{path}: only one of the polygons and the images states a coordinate reference system; add it to both, for example "
            "with gdal_edit.py -a_srs EPSG:CODE IMAGE or ogr2ogr -a_srs EPSG:CODE NEW.gpkg FILE"
        )
    return frame if system is None else frame.to_crs(system)


def _label_grid(path: PathLike, grid: Grid) -> Grid:
    """Return the grid of a label raster; that of its image if it has the same size and no georeference."""
    own = _stored_grid(path)
    return grid if not own.is_placed and (own.height, own.width) == (grid.height, grid.width) else _checked(path, own)


def _checked(path: PathLike, grid: Grid) -> Grid:
    """Return the grid of a raster after checking that it has a georeference."""
    if not grid.is_placed:
        raise InputError(
            f"{path}: has no georeference, so labels of another size and polygons cannot be placed on it; use images with one "
            "(GeoTIFF), or labels of the size of the images"
        )
    return grid


def _stored_grid(path: PathLike) -> Grid:
    file = ([*band_files(path).values()] or [Path(path)])[0]
    stat = existing_file(file).stat()
    return _known_grid(str(path), str(file), (stat.st_mtime_ns, stat.st_size))


@functools.lru_cache(maxsize=64)
def _known_grid(path: str, file: str, version: object) -> Grid:
    """Return the grid of a version of a raster or of a folder of bands, remembered within this process."""
    if path != file and (grid := image_grid(path)) is not None:
        return grid
    with open_raster(file, f"{path}: bringing labels to its grid") as source:
        return grid_of(path, source)
