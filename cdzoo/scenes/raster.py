"""`RasterSource`: a raster file read window by window, on its own grid or resampled to another one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cdzoo.errors import InputError
from cdzoo.inference.sources import Array, Mask
from cdzoo.io.rasters import require_rasterio
from cdzoo.tiling import Window

_SAMPLE = 1024  # longest side of the overview from which percentiles are computed


@dataclass(frozen=True)
class Grid:
    """Location and size of a raster.

    Attributes:
        crs: Coordinate reference system; None for images without coordinates.
        transform: Map from pixels to coordinates (affine.Affine).
        height: Height in pixels.
        width: Width in pixels.
    """

    crs: Any
    transform: Any
    height: int
    width: int


class RasterSource(AbstractContextManager["RasterSource"]):
    """`Source` of a raster that GDAL reads.

    Args:
        path: Path of the file.
        bands: Expected number of bands; None for any. An alpha band is not counted, it marks valid pixels.
        grid: Grid of the pixels; by default that of the file.
        value_range: Values that map to 0 and 1, for all bands.
        percentiles: Percentiles of each band that map to 0 and 1, computed from an overview of the file.
        band_names: Names of the expected bands, for the error message.

    Attributes:
        grid: Grid of the pixels.
        height: Height in pixels.
        width: Width in pixels.
        bands: Number of bands, without alpha.
        path: Path of the file.
        dtype: Type of the values in the file.
        scaling: Values of each band that map to 0 and 1; None for 8-bit rasters, which are not scaled.

    Raises:
        InputError: The file cannot be read, has another number of bands, does not overlap the grid, has no coordinate reference
            system although the grid has one (or the reverse), or has more than 8 bits without `value_range` or `percentiles`.
        MissingDependencyError: rasterio is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        bands: int | None,
        grid: Grid | None = None,
        value_range: tuple[float, float] | None = None,
        percentiles: tuple[float, float] | None = None,
        band_names: Sequence[str] = (),
    ) -> None:
        rasterio = require_rasterio("predicting scenes")
        with ExitStack() as stack:
            try:
                file = stack.enter_context(rasterio.open(path))
            except rasterio.errors.RasterioIOError as error:
                raise InputError(f"{path}: cannot be read as a raster ({error})") from error
            alpha = [i for i, meaning in enumerate(file.colorinterp, 1) if meaning.name == "alpha"]
            self.indexes = [i for i in range(1, file.count + 1) if i not in alpha]
            if bands is not None and len(self.indexes) != bands:
                names = f" ({', '.join(band_names)})" if len(band_names) == bands else ""
                raise InputError(
                    f"{path}: the raster has {len(self.indexes)} band(s), expected {bands}{names}; select them, or build the "
                    f"model with in_chans={len(self.indexes)}"
                )
            own = Grid(file.crs, file.transform, file.height, file.width)
            self.grid = grid or own
            self._data = file if _same(own, self.grid) else stack.enter_context(self._warped(rasterio, path, file, own))
            self.height, self.width, self.bands = self.grid.height, self.grid.width, len(self.indexes)
            self.path, self.dtype = path, file.dtypes[self.indexes[0] - 1]
            self.scaling = self._scaling(value_range, percentiles)
            self._stack = stack.pop_all()

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self._stack.close()

    def read(self, window: Window) -> tuple[Array, Mask]:
        """Return the pixels of a window (height, width, bands), and where they are valid.

        Pixels are scaled to [0, 1] unless `scaling` is None. NaN, nodata, transparent and uncovered pixels are invalid.

        Raises:
            InputError: The window cannot be read.
        """
        from rasterio.errors import RasterioIOError

        try:
            pixels = self._data.read(self.indexes, window=window.slices).transpose(1, 2, 0)
            valid = self._data.dataset_mask(window=window.slices) > 0
        except RasterioIOError as error:
            rows = f"rows {window.y} to {window.y + window.height}"
            raise InputError(f"{self.path}: {rows} cannot be read ({error}); check that the file is complete") from error
        if pixels.dtype.kind == "f":
            valid &= np.isfinite(pixels).all(-1)
        return self._scaled(pixels), valid

    @property
    def values(self) -> str:
        """Values that map to 0 and 1 as text, per band if they differ."""
        if self.scaling is None:
            return "0 to 255"
        ranges = [f"{low:g} to {high:g}" for low, high in zip(*self.scaling, strict=True)]
        return ranges[0] if len(set(ranges)) == 1 else ", ".join(ranges)

    def overview(self, shape: tuple[int, int]) -> Array:
        """Return the whole raster (h, w, bands) at a lower resolution, scaled as by `read`."""
        return self._scaled(self._data.read(self.indexes, out_shape=(self.bands, *shape)).transpose(1, 2, 0))

    def _scaled(self, pixels: Array) -> Array:
        if pixels.dtype.kind == "f":
            pixels = np.where(np.isfinite(pixels).all(-1, keepdims=True), pixels, 0)
        if self.scaling is None:
            return pixels
        low, high = self.scaling
        return ((pixels.astype(np.float32) - low) / (high - low)).clip(0, 1)

    def _warped(self, rasterio: Any, path: str | Path, file: Any, own: Grid) -> Any:
        """Return the file resampled to the grid."""
        if (own.crs is None) != (self.grid.crs is None):
            has, other = ("no", "one") if own.crs is None else ("a", "none")
            raise InputError(
                f"{path}: the file has {has} coordinate reference system, but the first image has {other}; assign it with "
                "gdal_edit.py -a_srs EPSG:CODE FILE"
            )
        if own.crs is None:
            raise InputError(
                f"{path}: {own.width}x{own.height} pixels, but the first image has {self.grid.width}x{self.grid.height}, and "
                "neither has a coordinate reference system by which to align them; cut or resample one of them"
            )
        bounds = rasterio.warp.transform_bounds(own.crs, self.grid.crs, *file.bounds)
        target = rasterio.transform.array_bounds(self.grid.height, self.grid.width, self.grid.transform)
        if bounds[0] >= target[2] or bounds[2] <= target[0] or bounds[1] >= target[3] or bounds[3] <= target[1]:
            raise InputError(
                f"{path}: does not overlap the first image: bounds {_format(bounds)} and {_format(target)} in {self.grid.crs}; "
                "pass two images of the same place"
            )
        return rasterio.vrt.WarpedVRT(
            file,
            **vars(self.grid),
            resampling=rasterio.enums.Resampling.bilinear,
            # Marks pixels that the file does not cover, if no nodata value does.
            add_alpha=file.nodata is None and len(self.indexes) == file.count,
        )

    def _scaling(
        self, value_range: tuple[float, float] | None, percentiles: tuple[float, float] | None
    ) -> tuple[Array, Array] | None:
        if percentiles is not None:
            return self._percentiles(*percentiles)
        if value_range is not None:
            low, high = (np.full(self.bands, value, np.float32) for value in value_range)
            return low, high
        if self.dtype != "uint8":
            raise InputError(
                f"{self.path}: {self.dtype} values; pass the (min, max) that map to [0, 1], for example --value-range "
                "'[0, 4095]', or percentiles of the scene: --percentiles '[2, 98]'"
            )
        return None

    def _percentiles(self, lower: float, upper: float) -> tuple[Array, Array]:
        factor = max(1, -(-max(self.height, self.width) // _SAMPLE))
        shape = (-(-self.height // factor), -(-self.width // factor))
        pixels = self._data.read(self.indexes, out_shape=(self.bands, *shape)).astype(np.float32)
        valid = (self._data.dataset_mask(out_shape=shape) > 0) & np.isfinite(pixels).all(0)
        if not valid.any():
            raise InputError(f"{self.path}: the raster has no valid pixel")
        low, high = np.percentile(pixels[:, valid], [lower, upper], axis=1).astype(np.float32)
        if (high <= low).any():
            raise InputError(
                f"{self.path}: the percentiles {lower:g} and {upper:g} of a band are equal; pass value_range instead"
            )
        return low, high


def _same(one: Grid, other: Grid) -> bool:
    if (one.height, one.width) != (other.height, other.width):
        return False
    return one.crs == other.crs and (one.crs is None or one.transform.almost_equals(other.transform, 1e-9))


def _format(bounds: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.6g}" for value in bounds) + "]"
