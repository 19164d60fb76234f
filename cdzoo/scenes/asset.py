"""`AssetSource`: a local or remote image, read window by window on a grid, and again when the connection breaks off."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, TypeVar

import numpy as np

from cdzoo.errors import InputError, mask_urls
from cdzoo.inference.sources import Array
from cdzoo.io.georeference import Grid, grid_of
from cdzoo.io.rasters import SIGNATURE_BYTES, open_raster, require_rasterio, signed_driver
from cdzoo.io.remote import Limits, PassingError, download, is_address, repeated, shown
from cdzoo.io.stac import Asset
from cdzoo.tiling import Window

T = TypeVar("T")
_REMOTE = ("GTiff", "JP2OpenJPEG")  # drivers that read parts of a file, and of nothing else


class AssetSource(AbstractContextManager["AssetSource"]):
    """Image of a STAC item.

    Args:
        asset: Local file or address.
        limits: Time and attempts of requests; those of GDAL are `limits.gdal`, which the caller sets.
        target: Grid of the pixels, to which others are resampled bilinearly; by default that of the image.
        nearest: Resample by the nearest pixel instead.

    Attributes:
        grid: Grid of the pixels.
        count: Number of bands.
        dtype: Type of the values.
        nodata: Value without data; None if there is none.

    Raises:
        InputError: The image cannot be read, or has no place.
    """

    def __init__(self, asset: Asset, limits: Limits, target: Grid | None = None, nearest: bool = False) -> None:
        self.asset, self._limits, self._target, self._nearest = asset, limits, target, nearest
        self._data: Any = None
        self._file: Any = None
        self._scalings: list[tuple[float, float]] = []
        self._stack = ExitStack()
        self._opened = 0
        self._driver = self._check_signature() if is_address(asset.href) else None
        source = self._repeated(lambda: self._file)
        self.grid = target or grid_of(shown(asset.href), source)
        if self.grid.crs is None or source.crs is None:
            self._stack.close()
            raise InputError(f"{shown(asset.href)}: has no coordinate reference system; name another asset")
        self.count, self.dtype = source.count, source.dtypes[0]
        self.nodata: float | None = self._nodata(source)

    def __exit__(self, *error: object) -> None:
        """Close the image."""
        self._stack.close()

    def band_name(self, band: int) -> str:
        """Return the name of a band, counted from 0."""
        return self.asset.name if self.count == 1 else f"{self.asset.name}.{band + 1}"

    def scaling(self, band: int) -> tuple[float, float]:
        """Return the scale and the offset of a band: those of the item, or else of the file."""
        stated = self.asset.stated(band)
        if "scale" in stated or "offset" in stated:
            return stated.get("scale", 1.0), stated.get("offset", 0.0)
        return self._scalings[band]

    def read(self, window: Window) -> tuple[Array, Array]:
        """Return the pixels of a window (bands, height, width), and where each band has data.

        Raises:
            InputError: They could not be read in any attempt.
        """

        def work() -> tuple[Array, Array]:
            at = ((window.y, window.y + window.height), (window.x, window.x + window.width))
            bands = [*range(1, self.count + 1)]
            return self._data.read(bands, window=at), self._data.read_masks(bands, window=at) > 0

        return self._repeated(work)

    def _check_signature(self) -> str:
        """Return the driver of a remote image, from its first bytes: no other is to interpret what a server sends."""
        name = shown(self.asset.href)
        headers = {"Range": f"bytes=0-{SIGNATURE_BYTES - 1}"}
        status, start = download(self.asset.href, self._limits, SIGNATURE_BYTES, headers)
        if status != 206:
            raise InputError(
                f"{name}: the server does not send parts of a file (range requests); download it, and name it in a local item"
            )
        driver = signed_driver(start)
        if driver not in _REMOTE:
            raise InputError(f"{name}: neither a GeoTIFF nor JPEG 2000, which are read from servers; name another asset")
        return driver

    def _repeated(self, work: Callable[[], T]) -> T:
        """Return `work()` with the image open; after a failure, open it anew."""
        rasterio = require_rasterio("reading STAC assets")

        def attempt(_: int) -> T:
            try:
                if self._data is None:
                    self._open()
                return work()
            except (rasterio.errors.RasterioError, rasterio._err.CPLE_BaseError) as error:
                self._stack.close()
                self._data = None
                raise PassingError(f"reading failed ({self._reason(error)})") from error

        return repeated(self.asset.href, attempt, self._limits if self._driver else Limits(retries=0))

    def _open(self) -> None:
        import rasterio

        href = self.asset.href
        with ExitStack() as stack, warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            if self._driver is None:
                source = stack.enter_context(open_raster(href))
            else:
                # GDAL remembers that an address failed. The fragment, which is not sent, makes it another one.
                self._opened += 1
                place = href.partition("#")[0]
                source = stack.enter_context(rasterio.open(f"/vsicurl/{place}#{self._opened}", driver=self._driver))
            self._file, self._scalings = source, [*zip(source.scales, source.offsets, strict=True)]
            self._data = source if self._target is None else stack.enter_context(self._warped(source, self._target))
            self._stack = stack.pop_all()

    def _warped(self, source: Any, grid: Grid) -> Any:
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT

        nodata = self._nodata(source)
        options: dict[str, Any] = {"crs": grid.crs, "transform": grid.transform, "height": grid.height, "width": grid.width}
        # Without nodata, an alpha band says what the image covers.
        options |= {"add_alpha": True} if nodata is None else {"src_nodata": nodata, "nodata": nodata}
        return WarpedVRT(source, resampling=Resampling.nearest if self._nearest else Resampling.bilinear, **options)

    def _nodata(self, source: Any) -> float | None:
        stated = source.nodata if source.nodata is not None else self.asset.stated(0).get("nodata")
        kind = np.dtype(source.dtypes[0])
        if stated is None or kind.kind == "f":
            return stated
        limits = np.iinfo(kind)
        return stated if limits.min <= stated <= limits.max else None  # NaN, or a value that no pixel has

    def _reason(self, error: BaseException) -> str:
        """Return why GDAL failed, without the address and what may be secret in it."""
        while error.__cause__ is not None:
            error = error.__cause__
        return mask_urls(str(error).replace(self.asset.href.partition("#")[0], "the image"))
