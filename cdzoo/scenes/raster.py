"""Where the pixels of a scene come from: a raster file read in windows, or an array that is there already."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.errors import InputError
from cdzoo.io.rasters import require_rasterio
from cdzoo.tiling import Span

Array = npt.NDArray[Any]
_SAMPLE = 1024  # longest side of the overview that percentiles are taken from


@dataclass(frozen=True)
class Grid:
    """Where a raster lies.

    Attributes:
        crs: Coordinate reference system; None for plain pictures.
        transform: From pixels to coordinates (affine.Affine).
        height: Rows.
        width: Columns.
    """

    crs: Any
    transform: Any
    height: int
    width: int


class RasterSource:
    """A file that GDAL reads, on its own grid or resampled to another one while it is read.

    Args:
        path: The file.
        bands: Bands that the model takes, None for all; an alpha band beside them says what is valid.
        grid: Grid to deliver the pixels on; the file's own by default.
        value_range: Values that become 0 and 1, for all bands.
        percentiles: Percentiles of each band that become 0 and 1, taken from an overview of the file.

    Raises:
        InputError: The file cannot be read, has other bands, does not overlap the grid, has no coordinate system while the grid
            has one, or is deeper than 8 bits and nothing says what is black and white.
        MissingDependencyError: rasterio is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        bands: int | None,
        grid: Grid | None = None,
        value_range: tuple[float, float] | None = None,
        percentiles: tuple[float, float] | None = None,
    ) -> None:
        rasterio = require_rasterio("scenes")
        self._stack = ExitStack()
        try:
            file = self._stack.enter_context(rasterio.open(path))
        except rasterio.errors.RasterioIOError as error:
            raise InputError(f"{path}: cannot be read as a raster ({error})") from error
        try:
            alpha = [i for i, meaning in enumerate(file.colorinterp, 1) if meaning.name == "alpha"]
            self.indexes = [i for i in range(1, file.count + 1) if i not in alpha]
            if bands is not None and len(self.indexes) != bands:
                raise InputError(
                    f"{path}: the raster has {len(self.indexes)} band(s), expected {bands}; a model built with "
                    f"in_chans={len(self.indexes)} takes it"
                )
            own = Grid(file.crs, file.transform, file.height, file.width)
            self.grid = grid or own
            self._data = file if _same(own, self.grid) else self._warped(rasterio, path, file, own)
            self.height, self.width, self.bands = self.grid.height, self.grid.width, len(self.indexes)
            self.path, self.dtype = path, file.dtypes[self.indexes[0] - 1]
            self.scaling = self._scaling(value_range, percentiles)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> RasterSource:
        """Return itself; the file is closed at the end."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self._stack.close()

    def read(self, rows: Span, columns: Span) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Return a window, scaled if the file is deeper than 8 bits; NaN, nodata, transparent or uncovered pixels are invalid."""
        from rasterio.errors import RasterioIOError
        from rasterio.windows import Window

        window = Window(columns.start, rows.start, columns.size, rows.size)
        try:
            pixels = self._data.read(self.indexes, window=window).transpose(1, 2, 0)
            valid = self._data.dataset_mask(window=window) > 0
        except RasterioIOError as error:
            raise InputError(
                f"{self.path}: rows {rows.start} to {rows.stop} cannot be read ({error}); is the file complete?"
            ) from error
        if pixels.dtype.kind == "f":
            valid &= np.isfinite(pixels).all(-1)
        return self._scaled(pixels), valid

    @property
    def values(self) -> str:
        """What is black and white, band by band where they differ."""
        if self.scaling is None:
            return "0 to 255"
        ranges = [f"{low:g} to {high:g}" for low, high in zip(*self.scaling, strict=True)]
        return ranges[0] if len(set(ranges)) == 1 else ", ".join(ranges)

    def overview(self, shape: tuple[int, int]) -> Array:
        """Return the whole raster (h, w, bands) at a smaller size, scaled as `read` does."""
        return self._scaled(self._data.read(self.indexes, out_shape=(self.bands, *shape)).transpose(1, 2, 0))

    def _scaled(self, pixels: Array) -> Array:
        if pixels.dtype.kind == "f":
            pixels = np.where(np.isfinite(pixels).all(-1, keepdims=True), pixels, 0)
        if self.scaling is None:
            return pixels
        low, high = self.scaling
        return ((pixels.astype(np.float32) - low) / (high - low)).clip(0, 1)

    def _warped(self, rasterio: Any, path: str | Path, file: Any, own: Grid) -> Any:
        if (own.crs is None) != (self.grid.crs is None):
            has, other = ("no", "has one") if own.crs is None else ("a", "has none")
            raise InputError(
                f"{path}: {has} coordinate reference system, but the first image {other}; state it in the file: "
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
                f"{path}: lies elsewhere than the first image: {_shown(bounds)} against {_shown(target)} in {self.grid.crs}; the "
                "two images show different places"
            )
        return self._stack.enter_context(
            rasterio.vrt.WarpedVRT(
                file,
                crs=self.grid.crs,
                transform=self.grid.transform,
                height=self.grid.height,
                width=self.grid.width,
                resampling=rasterio.enums.Resampling.bilinear,
                # Without a nodata value, an alpha band is what tells where the file does not reach.
                add_alpha=file.nodata is None and len(self.indexes) == file.count,
            )
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
                f"{self.path}: {self.dtype} values; state what is black and white, for example --value-range '[0, 4095]', or "
                "take percentiles of the scene: --percentiles '[2, 98]'"
            )
        return None

    def _percentiles(self, lower: float, upper: float) -> tuple[Array, Array]:
        factor = max(1, -(-max(self.height, self.width) // _SAMPLE))
        shape = (-(-self.height // factor), -(-self.width // factor))
        pixels = self._data.read(self.indexes, out_shape=(self.bands, *shape)).astype(np.float32)
        valid = (self._data.dataset_mask(out_shape=shape) > 0) & np.isfinite(pixels).all(0)
        if not valid.any():
            raise InputError(f"{self.path}: no pixel is valid")
        low, high = np.percentile(pixels[:, valid], [lower, upper], axis=1).astype(np.float32)
        if (high <= low).any():
            raise InputError(
                f"{self.path}: the percentiles {lower:g} and {upper:g} of a band are the same value: nothing to see in it"
            )
        return low, high


def _same(one: Grid, other: Grid) -> bool:
    if (one.height, one.width) != (other.height, other.width):
        return False
    return one.crs == other.crs and (one.crs is None or one.transform.almost_equals(other.transform, 1e-9))


def _shown(bounds: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.6g}" for value in bounds) + "]"
