"""Counts, areas and sums of the pixels of a map inside each of many polygons, read in tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from cdzoo.inference.sources import Array
from cdzoo.io.georeference import Grid
from cdzoo.scenes.areas import area_function, pixel_areas
from cdzoo.tiling import Window

_TILE = 1024  # side of a tile in pixels, a multiple of the blocks of a Cloud Optimized GeoTIFF


@dataclass(frozen=True)
class ZonalSums:
    """Pixels of a map inside each of n polygons. A pixel counts in every polygon that contains its center.

    Attributes:
        counts: Number of pixels (n, values) of each value.
        areas: Their area on the ground (n, values), in the units of `area_function`.
        total: Sum (n,) of the further quantity over the pixels where it is known.
        known: Number (n,) of these pixels.
        all_touched: Whether (n,) a polygon contains no center, so that the pixels which it touches count instead.
    """

    counts: npt.NDArray[np.int64]
    areas: npt.NDArray[np.float64]
    total: npt.NDArray[np.float64]
    known: npt.NDArray[np.int64]
    all_touched: npt.NDArray[np.bool_]


def zonal_sums(
    polygons: Array,
    grid: Grid,
    num_values: int,
    values: Callable[[Window], Array],
    quantity: Callable[[Window], Array] | None = None,
) -> ZonalSums:
    """Return the pixels of a map inside each polygon.

    The map is read in tiles, each once, and the sums of a polygon add up over tiles; polygons may overlap. Whether a center on
    the outline belongs to a polygon follows the rule of GDAL, by which neighbors share none.

    Args:
        polygons: Valid polygons (n,) of shapely, in pixels of the map; empty ones have no pixels.
        grid: Grid of the map.
        num_values: Number of values.
        values: Function that returns the value (h, w) of the pixels in a window, integers below `num_values`.
        quantity: Function that returns a further quantity (h, w), such as a probability, with NaN where it is unknown.
    """
    count = len(polygons)
    sums = ZonalSums(
        counts=np.zeros((count, num_values), np.int64),
        areas=np.zeros((count, num_values)),
        total=np.zeros(count),
        known=np.zeros(count, np.int64),
        all_touched=np.zeros(count, np.bool_),
    )
    _add(sums, np.arange(count), polygons, grid, values, quantity)
    (small,) = np.nonzero(sums.counts.sum(1) == 0)
    sums.all_touched[small] = True
    _add(sums, small, polygons, grid, values, quantity)
    sums.all_touched[sums.counts.sum(1) == 0] = False
    return sums


def _add(
    sums: ZonalSums,
    chosen: npt.NDArray[np.int64],
    polygons: Array,
    grid: Grid,
    values: Callable[[Window], Array],
    quantity: Callable[[Window], Array] | None,
) -> None:
    """Add the pixels inside the chosen polygons."""
    import shapely
    from affine import Affine
    from rasterio import Env
    from rasterio.features import rasterize

    measure, num_values = area_function(grid.crs), sums.counts.shape[1]
    bounds = shapely.bounds(polygons).reshape(-1, 4)
    with Env():  # once, not for each polygon
        for tile, inside in _tiles(polygons, chosen, grid):
            found, areas = values(tile), pixel_areas(grid, tile, measure)
            amount = None if quantity is None else quantity(tile)
            for index in inside:
                part = _overlap(bounds[index], tile)
                shape, offset = (part.height, part.width), Affine.translation(tile.x + part.x, tile.y + part.y)
                # The pixels of a polygon in its own rectangle, so that overlapping polygons do not hide each other.
                mask = rasterize(
                    [polygons[index]], shape, transform=offset, all_touched=bool(sums.all_touched[index]), dtype="uint8"
                )
                pixels = np.flatnonzero(mask)
                at = found[part.slices].ravel()[pixels]
                sums.counts[index] += np.bincount(at, minlength=num_values)
                sums.areas[index] += np.bincount(at, areas[part.slices].ravel()[pixels], num_values)
                if amount is not None:
                    amounts = amount[part.slices].ravel()[pixels]
                    is_known = ~np.isnan(amounts)
                    sums.total[index] += amounts[is_known].sum(dtype=np.float64)
                    sums.known[index] += int(is_known.sum())


def _tiles(polygons: Array, chosen: npt.NDArray[np.int64], grid: Grid) -> Iterator[tuple[Window, npt.NDArray[np.int64]]]:
    """Yield the tiles of a map that chosen polygons touch, with their indices."""
    import shapely

    tree = shapely.STRtree(polygons[chosen])
    for y, x in product(range(0, grid.height, _TILE), range(0, grid.width, _TILE)):
        tile = Window(y, x, min(_TILE, grid.height - y), min(_TILE, grid.width - x))
        inside = chosen[np.sort(tree.query(shapely.box(x, y, x + tile.width, y + tile.height), predicate="intersects"))]
        if len(inside):
            yield tile, inside


def _overlap(bounds: npt.NDArray[np.float64], tile: Window) -> Window:
    """Return the pixels of a tile, counted from its corner, that a rectangle (left, top, right, bottom) touches; at least one."""
    left, top = np.floor(bounds[:2]).astype(int) - (tile.x, tile.y)
    right, bottom = np.ceil(bounds[2:]).astype(int) - (tile.x, tile.y)
    rows = range(min(max(top, 0), tile.height - 1), min(max(bottom, top + 1, 1), tile.height))
    columns = range(min(max(left, 0), tile.width - 1), min(max(right, left + 1, 1), tile.width))
    return Window.of(rows, columns)
