"""`scene_area`: part of a scene to predict, from coordinates or polygons."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cdzoo.errors import InputError
from cdzoo.inference.sources import Mask
from cdzoo.io.files import PathLike
from cdzoo.io.georeference import Grid, grid_of
from cdzoo.io.objects import is_remote
from cdzoo.io.rasters import open_raster
from cdzoo.io.remote import shown
from cdzoo.io.vectors import read_vectors
from cdzoo.scenes.asset import remote_grid
from cdzoo.scenes.placed import check_placed, place_polygons
from cdzoo.tiling import Window


@dataclass(frozen=True)
class Area:
    """Part of a scene.

    Attributes:
        grid: Its pixels.
        polygon: What is mapped (shapely), in columns and rows of this grid; None for all pixels.
        file: File of the polygon.
    """

    grid: Grid
    polygon: Any = None
    file: Path | None = None

    @property
    def text(self) -> str:
        """Everything that determines the area."""
        import shapely

        shape = "" if self.polygon is None else hashlib.sha256(shapely.to_wkb(self.polygon)).hexdigest()
        return f"{self.grid.text} {shape}".strip()

    def contains(self, window: Window) -> Mask:
        """Return whether the centers of the pixels of a window (h, w) are in the area."""
        from affine import Affine
        from rasterio.features import rasterize

        shape = (window.height, window.width)
        if self.polygon is None:
            return np.ones(shape, np.bool_)
        offset = Affine.translation(window.x, window.y)
        return np.asarray(rasterize([self.polygon], shape, transform=offset, dtype="uint8") > 0)


def scene_area(
    image: PathLike, bbox: Sequence[float] | None = None, aoi: PathLike | None = None, layer: str | None = None
) -> Area:
    """Return the part of a scene in a rectangle, in polygons, or in both.

    Args:
        image: First date; may be remote.
        bbox: Left, bottom, right and top: in the coordinate reference system of the image; or longitudes and latitudes, which
            they are if none is beyond 180 and 90 degrees and the image is in a projected system.
        aoi: Polygons of the area of interest: a file of one of `io.vectors.READ`.
        layer: Layer of a GeoPackage; may be omitted if only one has geometries.

    Raises:
        InputError: A file cannot be read, the numbers are not ascending, there is no polygon, or the area is outside the image.
        MissingDependencyError: rasterio is not installed, or geopandas for polygons.
    """
    if is_remote(image):
        return grid_area(shown(str(image)), remote_grid(str(image)), bbox, aoi, layer)
    with open_raster(image, "predicting scenes") as file:
        grid = grid_of(image, file)
    return grid_area(image, grid, bbox, aoi, layer)


def grid_area(
    image: PathLike,
    grid: Grid,
    bbox: Sequence[float] | None = None,
    aoi: PathLike | None = None,
    layer: str | None = None,
) -> Area:
    """Return the part of a grid that `scene_area` returns for an image; `image` is its name in messages."""
    import shapely

    shape = shapely.box(0, 0, *grid.size)
    if bbox is not None:
        shape = shape.intersection(_rectangle(bbox, grid))
    if aoi is not None:
        frame = read_vectors(aoi, layer)
        check_placed(aoi, frame, grid)
        inside = shapely.union_all(place_polygons(frame, grid).pixels)
        shape = shape.intersection(inside)
    if not shape.area:
        named = " and ".join(str(one) for one in (bbox and [*bbox], aoi) if one)
        bounds = [float(f"{value:.8g}") for value in np.sort(grid.coordinates(np.array([[0, 0], grid.size])), 0).ravel()]
        raise InputError(f"{image}: no pixel lies in {named}; the image covers {bounds} (left, bottom, right, top)")
    left, top = np.floor(np.round(shape.bounds[:2], 6)).astype(int).tolist()
    right, bottom = np.ceil(np.round(shape.bounds[2:], 6)).astype(int).tolist()
    (x, y), at = grid.coordinates(np.array([[left, top]]))[0], grid.transform
    part = Grid(grid.crs, type(at)(at.a, at.b, float(x), at.d, at.e, float(y)), bottom - top, right - left)
    polygon = None if aoi is None else shapely.transform(shape, lambda points: points - (left, top))
    return Area(part, polygon, None if aoi is None else Path(aoi))


def _rectangle(bbox: Sequence[float], grid: Grid) -> Any:
    """Return a rectangle in pixels of the grid."""
    import geopandas
    import shapely

    left, bottom, right, top = bbox
    if not (left < right and bottom < top):
        raise InputError(f"bbox {[*bbox]}: not ascending; pass left, bottom, right, top")
    box = shapely.segmentize(shapely.box(left, bottom, right, top), max(right - left, top - bottom) / 20)
    is_degrees = max(-left, right) <= 180 and max(-bottom, top) <= 90
    if grid.crs is not None and not grid.crs.is_geographic and is_degrees:
        return place_polygons(geopandas.GeoDataFrame(geometry=[box], crs=4326), grid).pixels[0]
    return shapely.transform(box, grid.pixels)
