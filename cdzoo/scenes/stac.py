"""`stac_rasters`: images of two STAC items, copied inside an area to local rasters on one grid."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from cdzoo.errors import InputError
from cdzoo.inference.sources import Array
from cdzoo.io.files import PathLike, beside, output_path
from cdzoo.io.georeference import Grid
from cdzoo.io.objects import is_remote
from cdzoo.io.outputs import exclusive
from cdzoo.io.rasters import is_color
from cdzoo.io.remote import Limits, shown
from cdzoo.io.stac import Item
from cdzoo.scenes.area import grid_area
from cdzoo.scenes.asset import AssetSource, remote_reading
from cdzoo.scenes.copying import REQUEST_TAG, CopiedBand, is_copy, write_copy
from cdzoo.scenes.outputs import writing
from cdzoo.tiling import Window


@contextmanager
def stac_rasters(
    before: Item,
    after: Item,
    output: PathLike,
    bbox: Sequence[float] | None = None,
    aoi: PathLike | None = None,
    aoi_layer: str | None = None,
    resolution: float | None = None,
    limits: Limits | None = None,
    masks: tuple[Item, Item] | None = None,
) -> Iterator[tuple[Path, ...]]:
    """Yield the paths of two GeoTIFFs with the assets of each date as bands, in an area, and of their masks if there are any.

    The files are in a hidden folder beside the output. They are removed when the block succeeds; otherwise they are kept, and the
    next call for the same images, area and output uses those that are complete. Memory does not depend on the size of the area.
    Values are stored as in the assets, with the scale and offset that the item states, or else the asset.

    Args:
        before: Item of the first date, whose first asset determines the grid.
        after: Item of the second date.
        output: File that is made from both.
        bbox: Rectangle to read, as for `scene_area`.
        aoi: Polygons, whose bounds are read.
        aoi_layer: Layer of the polygons in a GeoPackage with several.
        resolution: Size of the pixels in units of the coordinate reference system; by default that of the first asset.
        limits: Time and attempts of requests.
        masks: The items with their masks as assets, which are read by the nearest pixel.

    Raises:
        InputError: There is no area, it is outside the images, or an asset cannot be read.
        MissingDependencyError: rasterio is not installed, or geopandas for an area.
    """
    if bbox is None and aoi is None:
        raise InputError("STAC items cover large areas: pass the part to read, --bbox LEFT BOTTOM RIGHT TOP or --aoi FILE")
    limits = limits or Limits()
    target = output_path(output)
    folder = beside(target, "stac")
    names = [f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', item.name)[:80]}.tif" for item in (before, after)]
    if names[0] == names[1]:
        names = [f"{date}_{name}" for date, name in zip(("before", "after"), names, strict=True)]
    if folder.exists() and any(file.suffix != ".tif" for file in folder.iterdir()):
        raise InputError(f"{folder}: has files other than those of an interrupted run; move it away")
    with exclusive(target):
        with remote_reading(limits):
            with AssetSource(before.assets[0], limits) as first:
                grid = _with_resolution(first.grid, resolution)
            area = grid_area(shown(before.assets[0].href), grid, bbox, aoi, aoi_layer).grid
            folder.mkdir(exist_ok=True)
            files = [folder / name for name in (*names, *(f"mask_{name}" for name in (names if masks else ())))]
            for file, item in zip(files, (before, after, *(masks or ())), strict=True):
                nearest = item not in (before, after)
                request = _request(item, area)
                if not is_copy(file, request):
                    with writing(file):
                        _copy(item, area, file, request, limits, nearest)
        yield tuple(files)
        shutil.rmtree(folder)


def _with_resolution(grid: Grid, resolution: float | None) -> Grid:
    """Return a grid of the same upper left corner with square pixels of another size."""
    if resolution is None:
        return grid
    if not (math.isfinite(resolution) and resolution > 0):
        raise InputError(f"resolution {resolution:g}: pass the size of a pixel, above 0")
    at = grid.transform
    if at.b or at.d:
        raise InputError("the first asset is rotated; its pixels can only be read as they are: pass no resolution")
    width, height = (max(1, math.ceil(round(length, 6))) for length in grid.size * (abs(at.a), abs(at.e)) / resolution)
    transform = type(at)(math.copysign(resolution, at.a), 0, at.c, 0, math.copysign(resolution, at.e), at.f)
    return Grid(grid.crs, transform, height, width)


def _request(item: Item, grid: Grid) -> str:
    """Return the hash of everything that determines the copy of an item. Signatures of addresses change, and do not count."""
    states = [[*os.stat(asset.href)[6:9]] if not is_remote(asset.href) else None for asset in item.assets]
    assets = [[asset.name, shown(asset.href), [dict(band) for band in asset.bands]] for asset in item.assets]
    return hashlib.sha256(json.dumps([1, item.name, item.date, assets, states, grid.text]).encode()).hexdigest()


def _copy(item: Item, grid: Grid, file: Path, request: str, limits: Limits, nearest: bool = False) -> None:
    """Write the assets of an item on a grid as the bands of a GeoTIFF."""
    with ExitStack() as stack:
        sources = [stack.enter_context(AssetSource(asset, limits, grid, nearest)) for asset in item.assets]
        dtype = np.result_type(*(source.dtype for source in sources))
        bands = [CopiedBand(source.band_name(band), source.scaling(band)) for source in sources for band in range(source.count)]
        tags = {REQUEST_TAG: request} | ({} if item.date is None else {"ACQUISITION_DATE": item.date})
        write_copy(file, grid, dtype, bands, lambda window: _read(sources, window), item.name, tags)


def _read(sources: Sequence[AssetSource], window: Window) -> tuple[Array, Array]:
    """Return the pixels of all assets (bands, height, width), and where they have data (height, width)."""
    found = [source.read(window) for source in sources]
    masks = np.concatenate([valid for _, valid in found])
    # As a raster of these bands would be read: 0 is a value of a color, too.
    colors = all(source.nodata is not None and is_color(source.dtype, source.nodata) for source in sources)
    return np.concatenate([pixels for pixels, _ in found]), np.asarray(masks.any(0) if colors else masks.all(0))


def stated_scaling(item: Item) -> str:
    """Return the scale and offset that an item states for its assets, as text; empty if it states none."""
    named: dict[str, list[str]] = {}
    for asset in item.assets:
        stated = asset.stated(0)
        if text := ", ".join(f"{name} {stated[name]:g}" for name in ("scale", "offset") if name in stated):
            named.setdefault(text, []).append(asset.name)
    return "; ".join(f"{' '.join(names)}: {text}" for text, names in named.items())
