"""`one_raster`: the files of single bands of one date, at different resolutions, as one raster."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape

import numpy as np

from cdzoo.errors import InputError
from cdzoo.io.files import PathLike
from cdzoo.io.georeference import Grid, grid_of
from cdzoo.io.rasters import open_raster, raster_driver

_BAND = re.compile(r"(?:^|[_.-])(B(?:0[1-9]|1[0-2]|8A))(?=$|[_.-])", re.IGNORECASE)
"""Name of a band of Sentinel-2 in that of a file, such as T31UDQ_20200101T105441_B04_10m.jp2."""
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


@contextmanager
def one_raster(path: PathLike) -> Iterator[Path]:
    """Yield a raster of all bands of one date.

    Args:
        path: A raster, which is returned; a folder with one file for each band, such as `B02.tif`, or of the format SAFE; or a
            pattern of such files, `"scene/*_B*.jp2"`. Bands have the names of Sentinel-2 that are in the names of their files; if
            some have, files without are left out. Of a band in several resolutions, the finest is taken. Coarser bands are
            interpolated bilinearly to the grid of the finest one, cut to what all bands cover.

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


def _files(path: PathLike) -> list[_File]:
    """Return the file of each band, sorted by the name of the band."""
    folder = Path(path)
    found = sorted(folder.rglob("*") if folder.suffix == ".SAFE" else folder.iterdir()) if folder.is_dir() else []
    found = [file for file in found or map(Path, sorted(glob.glob(str(path)))) if file.is_file() and raster_driver(file)]
    of_images = [file for file in found if "IMG_DATA" in file.parts] or found
    names = {file: match[1].upper() for file in of_images if (match := _BAND.search(file.stem))}
    if not of_images:
        raise InputError(f"{path}: no rasters; pass one file, or a folder with one file for each band, such as B04.tif")
    bands: dict[str, _File] = {}
    for file in names or of_images:
        one = _read(file, names.get(file, file.stem))
        if one.name not in bands or one.step < bands[one.name].step:
            bands[one.name] = one
    return [bands[name] for name in sorted(bands)]


def _read(path: Path, name: str) -> _File:
    with open_raster(path, "predicting scenes") as file:
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
