"""`warped`: an open raster on another grid, resampled while it is read."""

from __future__ import annotations

from typing import Any

from cdzoo.io.georeference import Grid, wrapped_system
from cdzoo.io.rasters import is_color, require_rasterio

_AWAY = 1000.0  # moves rasters without coordinates, as GDAL takes the identity for a missing geotransform


def warped(
    file: Any,
    own: Grid,
    grid: Grid,
    nodata: float | None,
    has_alpha: bool = False,
    nearest: bool = False,
    move: tuple[float, float] = (0.0, 0.0),
    turn: float = 0.0,
) -> Any:
    """Return an open raster resampled to a grid, bilinearly or by the nearest pixel, as a `rasterio.vrt.WarpedVRT`.

    Pixels that the file does not cover have no data: its nodata value, or else an alpha band of 0.

    Args:
        file: Open raster.
        own: Grid of the file.
        grid: Grid of the pixels, which has coordinates and a coordinate reference system if `own` has.
        nodata: Value without data in the file; None if there is none.
        has_alpha: Whether the file has an alpha band.
        nearest: Take the nearest pixel.
        move: What to add to the coordinates of the file.
        turn: Degrees to add to its longitudes, see `full_turns`.
    """
    rasterio = require_rasterio("resampling images")
    (x, y), away = move, 0.0 if own.is_placed else _AWAY
    same = own.crs == grid.crs
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
