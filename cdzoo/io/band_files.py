"""Images whose bands are single files of different resolutions, as one raster or on the grid of another image."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from cdzoo.errors import InputError, MissingDependencyError
from cdzoo.io.band_names import is_sentinel_band, names_of_files
from cdzoo.io.files import PathLike
from cdzoo.io.formats import raster_driver
from cdzoo.io.georeference import Grid, full_turns, grid_of, is_same, may_be_placed
from cdzoo.io.pillow import SUFFIXES
from cdzoo.io.rasters import open_raster, reading, valid_pixels
from cdzoo.io.resampling import resampled
from cdzoo.names import natural_key

_TYPES = {"uint8": "Byte", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32", "int32": "Int32", "float32": "Float32"}


@dataclass(frozen=True)
class _File:
    path: Path
    name: str
    grid: Grid
    dtype: str
    nodata: float | None
    scale: float
    offset: float

    @property
    def step(self) -> float:
        return float(abs(self.grid.transform.a))


def is_several(path: PathLike) -> bool:
    """Return whether a path is a folder, or a pattern of files."""
    return Path(path).is_dir() or (glob.has_magic(str(path)) and not Path(path).exists())


def several_files(path: PathLike) -> list[Path]:
    """Return the files in a folder or of a pattern, that may be bands; of another path, itself."""
    if not is_several(path):
        return [Path(path)]
    found = Path(path).rglob("*") if Path(path).is_dir() else map(Path, glob.glob(str(path)))
    return sorted(file for file in found if file.is_file() and raster_driver(file))


@contextmanager
def one_raster(path: PathLike) -> Iterator[Path]:
    """Yield a raster of all bands of one date.

    Args:
        path: A raster, which is returned; a folder with one file for each band, such as `B02.tif`, or of the format SAFE; or a
            pattern of such files, `"scene/*_B*.jp2"`. Bands have the names that are in the names of their files, see
            `names_of_files`; if some have one, files without are left out. Of a band in several resolutions, the finest is taken.
            Coarser bands are interpolated bilinearly to the grid of the finest one, cut to what all bands cover.

    Raises:
        InputError: There is no such file, or the files differ in type or coordinate system, have several bands or no place.
    """
    if not is_several(path):
        yield Path(path)
        return
    files = _files(path)
    with TemporaryDirectory(prefix="cdzoo_") as folder:
        stem = re.sub(r"[^\w.-]", "_", Path(path).resolve().name if Path(path).is_dir() else Path(path).parent.resolve().name)
        target = Path(folder) / f"{stem or 'bands'}.vrt"
        target.write_text(_vrt(path, files), encoding="utf-8")
        yield target


def band_files(path: PathLike) -> dict[str, Path]:
    """Return the file of each band of a folder, in the order of the bands; nothing if it is no folder of bands.

    Those are the folders of the format SAFE, and those whose images all end in the name of a band (`B1`, `B04`, `B8A`), or of
    which two or more have the name of a Sentinel-2 band; others are left out then. Of a band in several resolutions, the finest
    is taken.
    """
    folder = Path(path)
    if not folder.is_dir():
        return {}
    found = [file for file in _candidates(folder) if file.suffix.lower() in SUFFIXES and file.is_file()]
    names = names_of_files(found)
    if len(names) < len(found) and len({*names.values()}) < 2:
        return {}
    if len({*names.values()}) == len(names):
        return {name: file for file, name in names.items()}
    if not all(map(is_sentinel_band, names.values())):  # pictures whose names end alike
        return {}
    return {one.name: one.path for one in _finest([_read(file, name) for file, name in names.items()])}


def _candidates(folder: Path) -> list[Path]:
    if folder.suffix != ".SAFE":
        return sorted(folder.iterdir())
    return [file for file in sorted(folder.rglob("*")) if "IMG_DATA" in file.parts]


def _finest(files: Sequence[_File]) -> list[_File]:
    """Return the file of each band in the finest resolution."""
    bands: dict[str, _File] = {}
    for one in files:
        if one.name not in bands or one.step < bands[one.name].step:
            bands[one.name] = one
    return [*bands.values()]


def _files(path: PathLike) -> list[_File]:
    """Return the file of each band, in the order of the bands."""
    folder = Path(path)
    found = _candidates(folder) if folder.is_dir() else [*map(Path, sorted(glob.glob(str(path))))]
    found = [file for file in found if file.is_file() and raster_driver(file)]
    of_images = [file for file in found if "IMG_DATA" in file.parts] or found
    if not of_images:
        raise InputError(f"{path}: no rasters; pass one file, or a folder with one file for each band, such as B04.tif")
    stems = {file: file.stem for file in sorted(of_images, key=lambda file: natural_key(file.stem))}
    return _finest([_read(file, name) for file, name in (names_of_files(of_images) or stems).items()])


def _read(path: Path, name: str) -> _File:
    with open_raster(path, f"{path}: reading files of single bands") as file:
        grid = grid_of(path, file)
        if file.count != 1:
            raise InputError(f"{path}: {file.count} bands; files of a folder have one band each, pass a file of all bands itself")
        at = grid.transform
        if not grid.is_placed or at.b or at.d or file.dtypes[0] not in _TYPES:
            raise InputError(f"{path}: {file.dtypes[0]} values, not placed or rotated; bring the bands into one file first")
        return _File(path, name, grid, file.dtypes[0], file.nodata, file.scales[0], file.offsets[0])


def _vrt(path: PathLike, files: list[_File]) -> str:
    """Return the text of a VRT of all bands."""
    finest = min(files, key=lambda file: file.step)
    for one in files:
        if one.grid.crs != finest.grid.crs or one.dtype != finest.dtype:
            raise InputError(
                f"{path}: {one.path.name} ({one.dtype}, {one.grid.crs}) and {finest.path.name} ({finest.dtype}, "
                f"{finest.grid.crs}) differ; bring all bands to one type and system"
            )
    corners = {one.name: finest.grid.pixels(one.grid.coordinates(np.array([[0, 0], one.grid.size], np.float64))) for one in files}
    # Pixels whose centers all bands cover.
    left, top = np.ceil(np.max([found[0] for found in corners.values()], 0) - 0.5).astype(int).tolist()
    right, bottom = np.floor(np.min([found[1] for found in corners.values()], 0) + 0.5).astype(int).tolist()
    if left >= right or top >= bottom:
        raise InputError(f"{path}: the bands do not overlap")
    at = finest.grid.transform
    numbers = (at.c + left * at.a, at.a, 0.0, at.f + top * at.e, 0.0, at.e)
    system = "" if finest.grid.crs is None else f"<SRS>{escape(finest.grid.crs.to_wkt())}</SRS>"
    lines = [f'<VRTDataset rasterXSize="{right - left}" rasterYSize="{bottom - top}">', system]
    lines.append(f"<GeoTransform>{', '.join(map(repr, numbers))}</GeoTransform>")
    for index, one in enumerate(files, 1):
        lines += _band(index, one, corners[one.name] - (left, top))
    return "\n".join([*lines, "</VRTDataset>\n"])


def _band(index: int, one: _File, corners: np.ndarray) -> list[str]:
    (x, y), (end_x, end_y) = corners.tolist()
    kind = "SimpleSource" if one.nodata is None else "ComplexSource"
    lacking = [] if one.nodata is None else [f"<NODATA>{one.nodata!r}</NODATA>"]
    return [
        f'<VRTRasterBand dataType="{_TYPES[one.dtype]}" band="{index}">',
        f"<Description>{escape(one.name)}</Description>",
        *([] if one.nodata is None else [f"<NoDataValue>{one.nodata!r}</NoDataValue>"]),
        *([] if (one.scale, one.offset) == (1, 0) else [f"<Offset>{one.offset!r}</Offset><Scale>{one.scale!r}</Scale>"]),
        f'<{kind} resampling="bilinear">',
        f'<SourceFilename relativeToVRT="0">{escape(str(one.path.resolve()))}</SourceFilename><SourceBand>1</SourceBand>',
        f'<SrcRect xOff="0" yOff="0" xSize="{one.grid.width}" ySize="{one.grid.height}"/>',
        f'<DstRect xOff="{x!r}" yOff="{y!r}" xSize="{(end_x - x)!r}" ySize="{(end_y - y)!r}"/>',
        *lacking,
        f"</{kind}>",
        "</VRTRasterBand>",
    ]


def image_grid(path: PathLike) -> Grid | None:
    """Return the grid of an image with a georeference, of a folder of bands that of the finest one; None without any.

    Raises:
        InputError: The image cannot be read.
    """
    files = [*band_files(path).values()] or [Path(path)]
    if not all(map(may_be_placed, files)):
        return None
    grids = [grid for file in files if (grid := _placed_grid(file)) is not None]
    return min(grids, key=lambda grid: abs(grid.transform.a)) if len(grids) == len(files) else None


def _placed_grid(path: Path) -> Grid | None:
    """Return the grid of a file; None if it has no georeference."""
    try:
        with open_raster(path) as source:
            grid = Grid(source.crs, source.transform, source.height, source.width)
    except MissingDependencyError:  # sizes are compared then
        return None
    return grid if grid.is_placed and grid.transform.determinant else None


def is_resampled(path: PathLike, image: PathLike) -> bool:
    """Return whether an image is a folder of bands on another grid than the first date of its pair, to which it is brought.

    Raises:
        InputError: A file cannot be read, or the two do not overlap.
    """
    if not band_files(path):
        return False
    own, grid = image_grid(path), image_grid(image)
    if own is None or grid is None or is_same(own, grid):
        return False
    full_turns(path, own, grid)
    return True


def read_bands(path: PathLike, files: Sequence[Path], grid: Grid) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
    """Return bands on a grid as (H, W, bands), and where all of them have data (H, W); None for everywhere.

    Bands on other grids are interpolated bilinearly. Where one does not cover a pixel, there are no data.

    Args:
        path: Folder of the bands, for messages.
        files: File of each band.
        grid: Grid of the pixels, with coordinates.

    Raises:
        InputError: A file cannot be read, has several bands or no place, or they differ in type.
    """
    layers: list[npt.NDArray[Any]] = []
    valid = np.ones((grid.height, grid.width), np.bool_)
    for file in files:
        one = _read(file, file.stem)
        if layers and one.dtype != layers[0].dtype:
            raise InputError(
                f"{path}: {file.name} has {one.dtype} values, but {files[0].name} {layers[0].dtype}; bring them to one"
            )
        with open_raster(file) as source, reading(file, "damaged or truncated"):
            if is_same(one.grid, grid):
                layers.append(source.read(1))
                valid &= valid_pixels(source, [1])
                continue
            with resampled(file, source, one.grid, grid, one.nodata, False) as data:
                layers.append(data.read(1))
                valid &= valid_pixels(data, [1])
    return np.stack(layers, -1), None if valid.all() else valid
