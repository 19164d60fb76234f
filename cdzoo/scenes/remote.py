"""Remote images of scenes: the part that a map needs is copied window by window, and read from the copy."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from cdzoo.inference.sources import Array, Mask
from cdzoo.io.files import PathLike, beside, output_path
from cdzoo.io.georeference import Grid, full_turns, grid_of, move, wrapped_system
from cdzoo.io.objects import is_remote, remote_stem
from cdzoo.io.outputs import exclusive
from cdzoo.io.rasters import open_raster
from cdzoo.io.remote import Limits, shown
from cdzoo.io.stac import Asset
from cdzoo.scenes.area import Area
from cdzoo.scenes.asset import AssetSource, remote_reading
from cdzoo.scenes.copying import CopiedBand, write_copy
from cdzoo.scenes.image_cache import CachedImage, ImageCache
from cdzoo.scenes.outputs import writing
from cdzoo.tiling import Window

_MARGIN = 64  # pixels around the part, in which a date may be shifted against the other one, and which interpolation needs
_STEPS = 32  # of the mesh of points by which a part is found on another grid


@contextmanager
def local_images(
    images: Sequence[PathLike], output: PathLike, area: Area | None = None, cache: ImageCache | None = None
) -> Iterator[list[Path]]:
    """Yield the paths of images of one place: of remote ones, those of copies of the part that a map needs.

    Copies are in a hidden folder beside the output. They are removed when the block succeeds; otherwise they are kept, and the
    next call for the same images and output uses them, unless the server states that an image changed since.

    Args:
        images: Paths, and addresses that start with `https://`, `http://` or `s3://`. The first one has the grid of the map.
        output: File that is made from them.
        area: Part of the scene.
        cache: Folder for the copies instead, which several processes share.

    Raises:
        InputError: An image cannot be read, or does not overlap the first one.
        MissingDependencyError: rasterio is not installed.
    """
    with ExitStack() as stack:
        remote = stack.enter_context(remote_images(images, area))
        with fetched(remote, output, cache) as files:
            stack.close()
            copies = iter(files)
            yield [next(copies) if is_remote(image) else Path(image) for image in images]


@contextmanager
def remote_images(images: Sequence[PathLike], area: Area | None = None) -> Iterator[list[CachedImage]]:
    """Yield the remote ones of images, as for `local_images`, whose part can be fetched until the end of the block."""
    limits = Limits()
    with ExitStack() as stack:
        stack.enter_context(remote_reading(limits))
        grid = None if area is None else area.grid
        found = []
        for image in images:
            if is_remote(image):
                source = stack.enter_context(AssetSource(Asset(str(image), str(image)), limits))
                grid = grid or source.grid
                found.append(_cached(source, grid))
            elif grid is None:
                with open_raster(image, "predicting scenes") as file:
                    grid = grid_of(image, file)
        yield found


@contextmanager
def fetched(images: Sequence[CachedImage], output: PathLike, cache: ImageCache | None = None) -> Iterator[list[Path]]:
    """Yield the paths of the copies of remote images, as for `local_images`."""
    if cache is not None:
        with cache.files(images) as files:
            yield files
        return
    target = output_path(output)
    with exclusive(target):
        own = ImageCache(beside(target, "images"), None)
        with own.files(images) as files:
            yield files
        own.remove()


def _cached(source: AssetSource, grid: Grid) -> CachedImage:
    """Return the part of a remote image that covers a grid."""
    address = shown(source.asset.href)
    part = _part(address, source.grid, grid)
    key, identity = None, source.identity
    if identity is None or not identity.is_known:
        reason = "requests to it are signed" if identity is None else "the server states neither its ETag nor its last change"
        warnings.warn(f"{address}: whether it changed is not known, as {reason}; it is read again in every run", stacklevel=4)
    else:
        stated = [identity.etag, identity.modified, identity.size]
        text = json.dumps([1, address, stated, part.y, part.x, part.height, part.width])
        key = hashlib.sha256(text.encode()).hexdigest()
    size = part.height * part.width * source.count * np.dtype(source.dtype).itemsize

    def fetch(file: Path) -> None:
        with remote_reading(Limits()), writing(file):
            _copy(source, part, file)
        source.check_unchanged()

    return CachedImage(key, f"{remote_stem(source.asset.href)}.tif", size + (1 << 20), fetch)


def _part(name: str, own: Grid, grid: Grid) -> Window:
    """Return the part of an image that covers a grid and a margin."""
    whole = Window(0, 0, own.height, own.width)
    turn = full_turns(name, own, grid)  # refuses images that do not overlap
    steps = np.linspace(0, 1, _STEPS + 1)
    mesh = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    points = grid.coordinates(mesh * (grid.size + 2 * _MARGIN) - _MARGIN)
    pixels = own.pixels(move(points, grid.crs, own.crs) - (turn, 0))
    if not np.isfinite(pixels).all() or wrapped_system(own) != own.crs or wrapped_system(grid) != grid.crs:
        return whole
    left, top = np.floor(pixels.min(0)).astype(int).tolist()
    right, bottom = np.ceil(pixels.max(0)).astype(int).tolist()
    edge = 8  # in pixels of the image, which may be larger than those of the grid
    rows = range(max(0, top - edge), min(own.height, bottom + edge))
    columns = range(max(0, left - edge), min(own.width, right + edge))
    return Window.of(rows, columns) if rows and columns else whole


def _copy(source: AssetSource, part: Window, file: Path) -> None:
    """Write a part of an image with everything that the image states about its pixels."""
    header, at = source.header, source.grid.transform
    (x, y), *_ = source.grid.coordinates(np.array([[part.x, part.y]], np.float64)).tolist()
    grid = Grid(source.grid.crs, type(at)(at.a, at.b, x, at.d, at.e, y), part.height, part.width)
    meanings = [meaning if meaning.name == "alpha" else None for meaning in header.meanings]
    bands = [
        CopiedBand(name, source.scaling(band), meaning)
        for band, (name, meaning) in enumerate(zip(header.descriptions, meanings, strict=True))
    ]

    def read(window: Window) -> tuple[Array, Mask | None]:
        pixels, valid = source.read(Window(window.y + part.y, window.x + part.x, window.height, window.width))
        return pixels, np.asarray(valid.all(0)) if header.has_mask and not any(meanings) else None

    tags = {name: value for name, value in header.tags.items() if name != "AREA_OR_POINT"}
    write_copy(file, grid, source.dtype, bands, read, shown(source.asset.href).rpartition("/")[2], tags, source.nodata)
