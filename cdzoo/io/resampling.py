"""`resampled`: an open raster on the grid of another one, resampled when it is read."""

from __future__ import annotations

from typing import Any

from cdzoo.errors import InputError
from cdzoo.io.files import PathLike
from cdzoo.io.georeference import Grid, describe, full_turns, is_same, wrapped_system
from cdzoo.io.rasters import is_color, reading, require_rasterio

_AWAY = 1000.0  # moves rasters without coordinates, as GDAL takes the identity for a missing geotransform


def resampled(
    path: PathLike,
    file: Any,
    own: Grid,
    grid: Grid,
    nodata: float | None,
    has_alpha: bool,
    offset: tuple[float, float] = (0.0, 0.0),
    nearest: bool = False,
) -> Any:
    """Return an open raster resampled to a grid, as a rasterio dataset (`WarpedVRT`) to be closed; bilinearly by default.

    Args:
        path: Path of the file, for messages.
        file: The open raster.
        own: Its grid.
        grid: The grid wanted.
        nodata: Value of pixels without data.
        has_alpha: Whether a band of the file is alpha.
        offset: What is added to the coordinates of the file.
        nearest: Take the nearest pixel instead.

    Raises:
        InputError: The grids do not overlap; or one of them has no coordinates or no coordinate reference system.
    """
    if own.is_placed != grid.is_placed or (own.crs is None) != (grid.crs is None):
        raise InputError(
            f"{path}: has {describe(own)}, but the first image has {describe(grid)}; assign what is missing with "
            "gdal_edit.py -a_srs EPSG:CODE -a_ullr LEFT TOP RIGHT BOTTOM FILE, or remove a world file that is wrong"
        )
    if not own.is_placed and not is_same(own, grid):
        raise InputError(
            f"{path}: {own.width}x{own.height} pixels, but the first image has {grid.width}x{grid.height}, "
            "and neither has coordinates by which to align them; cut or resample one of them"
        )
    turn = full_turns(path, own, grid) if own.is_placed else 0.0
    x, y = offset
    away = 0.0 if own.is_placed else _AWAY
    rasterio = require_rasterio("predicting scenes")
    same = own.crs == grid.crs
    with reading(path, "cannot be resampled to the grid of the first image"):
        return rasterio.vrt.WarpedVRT(
            file,
            src_transform=_translated(own.transform, x + turn + away, y + away),
            # One system needs no conversion, which some systems do not have.
            src_crs="EPSG:3857" if same else own.crs if turn else wrapped_system(own),
            crs="EPSG:3857" if same else grid.crs,
            transform=_translated(grid.transform, away, away),
            height=grid.height,
            width=grid.width,
            resampling=rasterio.enums.Resampling.nearest if nearest else rasterio.enums.Resampling.bilinear,
            # Marks pixels that the file does not cover, if no nodata value does.
            add_alpha=nodata is None and not has_alpha,
            src_nodata=nodata,
            # Bilinear interpolation must not mix numbers such as -9999 with data.
            UNIFIED_SRC_NODATA="YES" if is_color(file.dtypes[0], nodata) else "NO",
        )


def _translated(transform: Any, x: float, y: float) -> Any:
    """Return a geotransform (affine.Affine) with `x` and `y` added to its coordinates."""
    return type(transform)(transform.a, transform.b, transform.c + x, transform.d, transform.e, transform.f + y)
