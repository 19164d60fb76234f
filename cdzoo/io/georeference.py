"""Grids of rasters, and the comparison of the georeference of the files of a pair."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.errors import InputError, MissingDependencyError
from cdzoo.io.files import PathLike
from cdzoo.io.formats import has_tags
from cdzoo.io.rasters import open_raster, reading, require_rasterio

Points = npt.NDArray[np.float64]
_TOLERANCE = 0.5  # pixels
_CORNERS = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float64)
_GEOREFERENCE = (33550, 33922, 34264, 50844)  # tags of TIFF: scale, tie points, matrix, RPC
_WORLD_FILES = (".wld", ".tfw", ".pgw", ".jgw", ".bpw", ".gfw", ".wfw", ".j2w")


@dataclass(frozen=True)
class Grid:
    """Location and size of a raster.

    Attributes:
        crs: Coordinate reference system (rasterio.crs.CRS); None for images without one.
        transform: Map from pixels to coordinates (affine.Affine); the identity for images without coordinates.
        height: Height in pixels.
        width: Width in pixels.
    """

    crs: Any
    transform: Any
    height: int
    width: int

    @property
    def is_placed(self) -> bool:
        """Whether the pixels have coordinates."""
        return self.crs is not None or not self.transform.is_identity

    @property
    def text(self) -> str:
        """Everything that determines the grid."""
        system = "" if self.crs is None else self.crs.to_wkt()
        return f"{self.width}x{self.height} {[*self.transform[:6]]} {system}"

    @property
    def size(self) -> Points:
        """Width and height."""
        return np.array([self.width, self.height], np.float64)

    def part(self, rows: slice, columns: slice, step: int = 1) -> Grid:
        """Return the grid of some rows and columns, which may lie outside; with `step`, of larger pixels."""
        (x, y), at = self.coordinates(np.array([[columns.start, rows.start]], np.float64))[0], self.transform
        height, width = (-(-(span.stop - span.start) // step) for span in (rows, columns))
        transform = type(at)(at.a * step, at.b * step, float(x), at.d * step, at.e * step, float(y))
        return Grid(self.crs, transform, height, width)

    def coordinates(self, pixels: Points) -> Points:
        """Return the coordinates (n, 2) of columns and rows (n, 2), counted from the upper left corner of the raster."""
        return _moved(pixels, self.transform)

    def pixels(self, coordinates: Points) -> Points:
        """Return the columns and rows (n, 2) of coordinates (n, 2)."""
        return _moved(coordinates, ~self.transform)


def _moved(points: Points, transform: Any) -> Points:
    matrix = np.array(transform[:6]).reshape(2, 3)
    return points @ matrix[:, :2].T + matrix[:, 2]


def _stated_grid(path: PathLike, source: Any) -> Grid:
    grid = Grid(source.crs, source.transform, source.height, source.width)
    if not np.isfinite(grid.transform[:6]).all() or not grid.transform.determinant:
        numbers = ", ".join(f"{number:g}" for number in grid.transform[:6])
        raise InputError(f"{path}: its geotransform ({numbers}) maps all pixels to one line; repair it: gdal_edit.py -a_ullr")
    return grid


def grid_of(path: PathLike, source: Any) -> Grid:
    """Return the grid of an open raster.

    Raises:
        InputError: The raster is placed by ground control points or rational polynomials alone, or its geotransform cannot be
            inverted.
    """
    grid = _stated_grid(path, source)
    if not grid.is_placed and (source.rpcs or source.gcps[0]):
        means, option = ("rational polynomials (RPC)", "-rpc") if source.rpcs else ("ground control points", "-tps")
        raise InputError(
            f"{path}: placed by {means} alone; resample it to a grid (gdalwarp {option} -t_srs EPSG:CODE FILE NEW.tif), or, "
            "if the pixels of both dates correspond, remove them (gdal_translate -co PROFILE=BASELINE FILE NEW.tif)"
        )
    return grid


def move(points: Points, crs: Any, target: Any) -> Points:
    """Convert coordinates (n, 2) between coordinate reference systems; those without a counterpart are infinite.

    Raises:
        InputError: There is no conversion between the systems.
    """
    if crs == target or crs is None or target is None:
        return points
    rasterio = require_rasterio("comparing coordinates")
    with reading(f"{_name(crs)} and {_name(target)}", "no conversion between these coordinate systems", "resample one of them"):
        return np.column_stack(rasterio.warp.transform(crs, target, *points.T))


def describe(grid: Grid) -> str:
    """Return what places a grid, as text."""
    if grid.crs is None:
        return "coordinates without a coordinate reference system" if grid.is_placed else "no coordinates"
    return f"the coordinate reference system {_name(grid.crs)}"


def is_same(one: Grid, other: Grid) -> bool:
    """Return whether the pixels of two grids are the same, to a thousandth."""
    if one.crs != other.crs or (one.height, one.width) != (other.height, other.width) or one.is_placed != other.is_placed:
        return False
    corners = _CORNERS * one.size
    return bool(np.abs(one.pixels(other.coordinates(corners)) - corners).max() < 1e-3)


def full_turns(path: PathLike, own: Grid, grid: Grid) -> float:
    """Return the degrees, a multiple of 360, to add to the longitudes of a file so that it overlaps a grid; 0 for other systems.

    Raises:
        InputError: The file does not overlap the grid, there is no conversion between their systems, or both go around the Earth
            from different meridians.
    """
    degrees = [crs is not None and crs.is_geographic for crs in (own.crs, grid.crs)]
    try:
        shares = {turn: shared_extent(own, grid, turn) for turn in ((0, -360, 360) if any(degrees) else (0,))}
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    best = max(shares, key=lambda turn: shares[turn])
    if not shares[best]:
        hint = "pass two images of the same place"
        if own.crs is not None and own.crs.is_projected and _same_longitudes(own, grid):
            hint = (
                "both lie at the 180th meridian, on different sides of the system; bring them to one system without a seam there"
            )
        raise InputError(f"{path}: does not overlap the first image: {_extent(own)} and {_extent(grid)}; {hint}")
    if all(degrees) and sum(share > 0.05 for share in shares.values()) > 1:
        raise InputError(
            f"{path}: its longitudes and those of the first image start at different meridians ({_extent(own)} and "
            f"{_extent(grid)}); cut both at the 180th meridian, or bring them to one range with gdalwarp -te"
        )
    return float(best) if all(degrees) else 0.0


def wrapped_system(grid: Grid) -> Any:
    """Return the system of a grid; for longitudes beyond 180 degrees, which GDAL takes for others, one centered at the grid."""
    west, east = grid.coordinates(_CORNERS * grid.size)[:, 0].min(), grid.coordinates(_CORNERS * grid.size)[:, 0].max()
    if not grid.crs.is_geographic or (west >= -180 and east <= 180):
        return grid.crs
    text = grid.crs.to_proj4()
    center = f" +lon_wrap={(west + east) / 2:.9g}"
    return type(grid.crs).from_string(text + center) if text.startswith("+proj=longlat") else grid.crs


def _same_longitudes(own: Grid, grid: Grid) -> bool:
    """Return whether the centers of two grids of projected systems are closer than a degree in longitude and latitude."""
    system = require_rasterio("comparing coordinates").crs.CRS.from_epsg(4326)
    try:
        one, other = (move(each.coordinates(each.size[None] / 2), each.crs, system)[0] for each in (own, grid))
    except InputError:
        return False
    x, y = one - other
    return bool(abs((x + 180) % 360 - 180) < 1 and abs(y) < 1)


def shared_extent(own: Grid, grid: Grid, turn: float = 0.0) -> float:
    """Return the largest share of a mesh of points over one of two grids that lie in the other one.

    Args:
        own: One grid.
        grid: The other one.
        turn: Degrees to add to the longitudes of the first one.

    Raises:
        InputError: There is no conversion between their systems.
    """
    mesh = np.stack(np.meshgrid(*2 * [np.linspace(0, 1, 65)]), -1).reshape(-1, 2)
    shares = []
    for one, other, sign in ((own, grid, 1), (grid, own, -1)):
        points = move(one.coordinates(mesh * one.size), one.crs, other.crs)
        points[:, 0] += sign * turn if other.crs is not None and other.crs.is_geographic else 0
        pixels = other.pixels(points)
        shares.append(float(((pixels > 1e-3) & (pixels < other.size - 1e-3)).all(1).mean()))
    return max(shares)


def _extent(grid: Grid) -> str:
    points = grid.coordinates(_CORNERS * grid.size)
    bounds = ", ".join(f"{value:.8g}" for value in (*points.min(0), *points.max(0)))
    return f"[{bounds}]" + (f" in {_name(grid.crs)}" if grid.crs else "")


def _name(crs: Any) -> str:
    text = str(crs)
    return text if len(text) < 20 else text.split('"')[1] if '"' in text else text[:60]


def georeference_mismatch(first: PathLike, other: PathLike) -> str | None:
    """Describe how the georeference of an image or mask differs from that of the first date of its pair.

    Args:
        first: First date.
        other: Second date, or mask.

    Returns:
        A message that names both files; None if they cover the same ground to half a pixel, or if one has no georeference.

    Raises:
        InputError: A file cannot be read.
    """
    if not (may_be_placed(Path(first)) and may_be_placed(Path(other))):
        return None
    try:
        with open_raster(first) as one, open_raster(other) as two:
            (grid, *means), (other_grid, *other_means) = _place(first, one), _place(other, two)
    except MissingDependencyError as error:
        warnings.warn(f"the georeference of TIFF files is not compared: {error}", stacklevel=2)
        return None
    fix = "resample them to one grid, for example with gdalwarp, or remove the georeference if it is wrong"
    if not grid.is_placed and not other_grid.is_placed:
        same = str(means) == str(other_means) or not any(means) or not any(other_means)
        return None if same else f"{other}: control points or RPCs differ from those of {first}; {fix}"
    if not (grid.is_placed and other_grid.is_placed):
        return f"{other}: only one of it and {first} is placed by a grid; {fix}" if any(means) and any(other_means) else None
    try:
        points = move(other_grid.coordinates(_CORNERS * other_grid.size), other_grid.crs, grid.crs)
    except InputError:
        return f"{other}: its coordinate system is unrelated to that of {first}; {fix}"
    found, expected = grid.pixels(points), _CORNERS * grid.size
    if np.abs(found - expected).max() <= _TOLERANCE:
        return None
    if np.abs(found.min(0)).max() <= _TOLERANCE and np.abs(found.max(0) - grid.size).max() <= _TOLERANCE:
        return f"{other}: covers the grid of {first}, but mirrored or turned according to its georeference; {fix}"
    x, y = (found - expected).mean(0)
    return f"{other}: lies {x:+.1f} columns and {y:+.1f} rows from {first} according to its georeference; {fix}"


def _place(path: PathLike, source: Any) -> tuple[Grid, Any, Any]:
    with reading(path, "damaged or truncated"):
        return _stated_grid(path, source), source.gcps[0], source.rpcs


def may_be_placed(path: Path) -> bool:
    """Return whether a file may have a georeference, without opening it as a raster."""
    others = [path.with_suffix(suffix) for suffix in _WORLD_FILES] + [path.with_name(f"{path.name}.aux.xml")]
    return (
        has_tags(path, _GEOREFERENCE)
        or path.suffix.lower() in (".jp2", ".vrt", ".img")
        or any(other.is_file() for other in others)
    )
