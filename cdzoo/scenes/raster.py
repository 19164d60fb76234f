"""`RasterSource`: a raster file read window by window, on its own grid or resampled to another one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from cdzoo.errors import InputError
from cdzoo.inference.sources import Array, Mask
from cdzoo.io.alpha import alpha_bands, without_alpha
from cdzoo.io.georeference import Grid, grid_of, is_same
from cdzoo.io.rasters import open_raster, reading, require_rasterio, valid_pixels
from cdzoo.io.reflectance import RANGE
from cdzoo.io.registration import Shift
from cdzoo.io.resampling import resampled
from cdzoo.io.values import stored_values
from cdzoo.scenes.alignment import correction
from cdzoo.scenes.area import Area
from cdzoo.scenes.bands import selected_bands
from cdzoo.scenes.cloud_mask import CloudMask, CloudMaskSource
from cdzoo.scenes.reflectance import Calibration
from cdzoo.tiling import Window

_SAMPLE = 1024  # longest side of the overview from which percentiles are computed
_FEW = 16  # side of the sample of pixels that is compared with a range of values


class RasterSource(AbstractContextManager["RasterSource"]):
    """`Source` of a raster of one of `io.formats.FORMATS`.

    Args:
        path: Path of the file.
        bands: Expected number of bands; None for any.
        grid: Grid of the pixels; by default that of the file.
        value_range: Stored values that map to 0 and 1, for all bands.
        percentiles: Percentiles of each band that map to 0 and 1, computed from an overview of the file.
        shift: Place of the content of the file in relation to that of the grid, which is corrected; None for no correction.
        calibration: Reflectances of the stored values, which `value_range` counts then; pixels that are 0 in all bands have no
            data. None for values that are no reflectances.
        decibels: Whether values are converted by 10 log10(x) first, as for `Scaling`.
        band_names: Names of the expected bands, for the error message.
        indexes: Bands to read, from 1, or their names in the file; by default all but an alpha band.
        alpha: Whether a band that the file calls alpha marks the valid pixels (True) or is a band like others (False). By default
            it marks them, with a warning.
        mask: Where there are no data, beside what the file states.

    Attributes:
        grid: Grid of the pixels.
        height: Height in pixels.
        width: Width in pixels.
        bands: Number of bands.
        indexes: Bands that are read, from 1.
        path: Path of the file.
        area: What is valid; None for all pixels with data.
        mask: The mask, on the grid; None without one.
        dtype: Type of the values in the file.
        storage: Type of the values, and scale and offset that the file states for them, as text.
        scaling: Values of each band that map to 0 and 1; None for 8-bit rasters, which are not scaled.

    Raises:
        InputError: The file cannot be read, has another number of bands or not those of `indexes`, does not overlap the grid, has
            coordinates although the grid has none (or the reverse), is placed by control points or RPCs alone, or has more than
            8 bits without `value_range` or `percentiles`.
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
        indexes: Sequence[int | str] | None = None,
        alpha: bool | None = None,
        decibels: bool = False,
        shift: Shift | None = None,
        calibration: Calibration | None = None,
        mask: CloudMask | None = None,
    ) -> None:
        with ExitStack() as stack:
            file = stack.enter_context(open_raster(path, "predicting scenes"))
            with reading(path, "damaged or truncated"):
                own = grid_of(path, file)
                self.indexes = selected_bands(path, file, indexes, alpha)
                self.dtype, self.storage = file.dtypes[0], stored_values(file, self.indexes)
            self.path, self.grid, self.shift, self.calibration = path, grid or own, shift, calibration
            self.area: Area | None = None
            if bands is not None and len(self.indexes) != bands:
                names = f" ({', '.join(band_names)})" if len(band_names) == bands else ""
                raise InputError(
                    f"{path}: the raster has {len(self.indexes)} band(s), expected {bands}{names}; select them, for example with "
                    f"--bands '{[*range(1, bands + 1)]}', or build the model with in_chans={len(self.indexes)}"
                )
            if set(self.indexes) & set(alpha_bands(file)) or (alpha is False and alpha_bands(file)):
                file = stack.enter_context(without_alpha(path, file))
            self._data = file if is_same(own, self.grid) and shift is None else stack.enter_context(self._warped(file, own))
            self.height, self.width, self.bands = self.grid.height, self.grid.width, len(self.indexes)
            self.mask = None if mask is None else stack.enter_context(CloudMaskSource(mask, self.grid, shift))
            self._decibels = decibels
            self._clips = decibels or percentiles is not None
            self.scaling = self._scaling(value_range, percentiles)
            self._stack = stack.pop_all()

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self._stack.close()

    def read(self, window: Window) -> tuple[Array, Mask]:
        """Return the pixels of a window (height, width, bands), and where they are valid.

        Pixels are scaled unless `scaling` is None; those without data are 0 then. NaN, nodata, transparent and uncovered pixels
        are invalid, and those outside the area.

        Raises:
            InputError: The window cannot be read.
        """
        pixels, valid = self._read(f"rows {window.y} to {window.y + window.height}", window=window.slices)
        return pixels, valid if self.area is None else valid & self.area.contains(window)

    @property
    def values(self) -> str:
        """Values that map to 0 and 1 as text, per band if they differ."""
        if self.scaling is None:
            return "0 to 255"
        ranges = [f"{low:g} to {high:g}" for low, high in zip(*self.scaling, strict=True)]
        return (ranges[0] if len(set(ranges)) == 1 else ", ".join(ranges)) + (" dB" if self._decibels else "")

    @property
    def reflectance(self) -> str:
        """Reflectances that map to 0 and 1 as text, and how they were found; empty for other values."""
        if self.calibration is None:
            return ""
        low, high = self._limits
        return f"reflectance {low:g} to {high:g}, stored as {self.values}: {self.calibration.origin}"

    def overview(self, shape: tuple[int, int], window: Window | None = None) -> tuple[Array, Mask]:
        """Return the raster, or a window of it, at a lower resolution (h, w, bands), cut to [0, 1], and where it is valid.

        Pixels are the means of those that they cover, scaled as by `read`.
        """
        options: dict[str, Any] = {} if window is None else {"window": window.slices}
        pixels, valid = self._read("the overview", out_shape=shape, average=True, **options)
        return pixels if self.scaling is None else pixels.clip(0, 1), valid

    def check_range(self) -> None:
        """Check that values of the raster lie in the range that maps to [0, 1].

        Raises:
            InputError: None of a sample of the pixels does.
        """
        if self.scaling is None:
            return
        low, high = self.scaling
        if self.calibration is not None:  # which was found from the pixels
            return
        pixels, valid = self._read("a sample", raw=True, out_shape=(min(_FEW, self.height), min(_FEW, self.width)))
        found = pixels[valid]
        if len(found) and not ((found >= low) & (found <= high)).any():
            raise InputError(
                f"{self.path}: {self.storage} from {found.min():g} to {found.max():g} in a sample of the scene, none of them in "
                f"the range of values {self.values}; pass the (min, max) of the numbers that the file stores"
            )

    def _read(self, part: str, raw: bool = False, average: bool = False, **options: Any) -> tuple[Array, Mask]:
        """Return pixels (h, w, bands), scaled unless `raw`, and where they are valid. Those without decibels are -inf or 0."""
        resampling = require_rasterio("reading scenes").enums.Resampling
        unmasked = True if self.mask is None else ~self.mask.masked(**options)
        if "out_shape" in options:
            options["out_shape"] = (self.bands, *options["out_shape"])
        with reading(self.path, f"{part} cannot be read"):
            valid = valid_pixels(self._data, self.indexes, **options)
            how = resampling.average if average else resampling.nearest
            pixels = self._data.read(self.indexes, resampling=how, **options).transpose(1, 2, 0)
        valid &= unmasked
        if self.calibration is not None:
            valid &= (pixels != 0).any(-1)
        if pixels.dtype.kind == "f":
            valid &= np.isfinite(pixels).all(-1)
        if self._decibels:
            positive = valid[..., None] & (pixels > 0)
            logarithm = np.log10(np.where(positive, pixels, 1).astype(np.float32))
            pixels = np.where(positive, 10 * logarithm, np.float32(-np.inf))
        if raw or self.scaling is None:
            return pixels, valid
        low, high = self.scaling
        scaled = (np.where(valid[..., None], pixels, low).astype(np.float32) - low) / (high - low)
        return scaled.clip(0, 1) if self._clips else scaled, valid

    def _warped(self, file: Any, own: Grid) -> Any:
        """Return the file resampled to the grid."""
        has_alpha = bool(alpha_bands(file))
        nodata = 0 if self.calibration is not None and file.nodata is None and not has_alpha else file.nodata
        offset = (0.0, 0.0) if self.shift is None else correction(own, self.grid, self.shift)
        return resampled(self.path, file, own, self.grid, nodata, has_alpha, offset)

    def _scaling(
        self, value_range: tuple[float, float] | None, percentiles: tuple[float, float] | None
    ) -> tuple[Array, Array] | None:
        if self.calibration is not None:
            self._limits = value_range or RANGE
            lower, upper = self._limits
            return self.calibration.stored(lower, self.indexes), self.calibration.stored(upper, self.indexes)
        if percentiles is not None:
            return self._percentiles(*percentiles)
        if value_range is None:
            if self.dtype == "uint8":
                return None
            raise InputError(
                f"{self.path}: {self.dtype} values; pass the (min, max) that map to [0, 1], for example --value-range "
                "'[0, 4095]', or percentiles of the scene: --percentiles '[2, 98]'; of the second date alone: "
                "--value-range-after, --percentiles-after; for reflectances, such as those of Sentinel-2: --reflectance auto"
            )
        low, high = value_range
        return np.full(self.bands, low, np.float32), np.full(self.bands, high, np.float32)

    def _percentiles(self, lower: float, upper: float) -> tuple[Array, Array]:
        factor = max(1, -(-max(self.height, self.width) // _SAMPLE))
        shape = (-(-self.height // factor), -(-self.width // factor))
        pixels, valid = self._read("the overview", raw=True, out_shape=shape)
        if not valid.any():
            raise InputError(f"{self.path}: the raster has no valid pixel")
        values = pixels[valid].astype(np.float32)
        if self._decibels:
            values[np.isinf(values)] = np.nan
        percentile = np.nanpercentile if self._decibels else np.percentile
        low, high = percentile(values, [lower, upper], axis=0).astype(np.float32)
        if not (high > low).all():
            raise InputError(
                f"{self.path}: the percentiles {lower:g} and {upper:g} of a band are equal; pass value_range instead"
            )
        return low, high
