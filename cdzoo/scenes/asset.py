"""`AssetSource`: a local or remote image, read window by window, and again when the connection breaks off."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np

from cdzoo.errors import InputError, mask_urls, printable
from cdzoo.inference.sources import Array
from cdzoo.io.formats import SIGNATURE_BYTES, signed_driver
from cdzoo.io.georeference import Grid, grid_of
from cdzoo.io.objects import Identity, gdal_name, is_remote, remote_start, without_secrets
from cdzoo.io.rasters import check_declared, limited_cache, open_raster, require_rasterio
from cdzoo.io.remote import Limits, PassingError, repeated, shown
from cdzoo.io.stac import Asset
from cdzoo.tiling import Window

T = TypeVar("T")
_REMOTE = ("GTiff", "JP2OpenJPEG")  # drivers that read parts of a file, and of nothing else
_MOST = 300  # characters of a message of GDAL, which may have the page of a server


class Header(NamedTuple):
    """What an image states about itself beside its grid.

    Attributes:
        tags: Metadata.
        descriptions: Name of each band, or None.
        meanings: What each band is for GDAL (rasterio.enums.ColorInterp), such as alpha.
        has_mask: Whether a mask says where it has data.
    """

    tags: dict[str, str]
    descriptions: tuple[str | None, ...]
    meanings: tuple[Any, ...]
    has_mask: bool


class AssetSource(AbstractContextManager["AssetSource"]):
    """Local or remote image.

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
        header: What the image states beside this.
        identity: What the server states about its content; None for local files, and in an object store that is asked with a
            signature.

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
        self.identity: Identity | None = None
        self._driver = self._check_signature() if is_remote(asset.href) else None
        self.header = self._repeated(self._read_header)
        source = self._repeated(lambda: self._file)
        self.grid = target or grid_of(shown(asset.href), source)
        if self.grid.crs is None or source.crs is None:
            self._stack.close()
            raise InputError(f"{shown(asset.href)}: has no coordinate reference system; pass another image")
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

    def check_unchanged(self) -> None:
        """Check that the server states the same about the image as when it was opened.

        Raises:
            InputError: It does not.
        """
        if self.identity is not None:
            start = remote_start(self.asset.href, self._limits, SIGNATURE_BYTES)
            if start is not None and start.identity != self.identity:
                raise InputError(f"{shown(self.asset.href)}: changed while it was read; run the same command again")

    def _check_signature(self) -> str:
        """Return the driver of a remote image, from its first bytes: no other is to interpret what a server sends."""
        start = remote_start(self.asset.href, self._limits, SIGNATURE_BYTES)
        if start is None:
            return _REMOTE[self.asset.href.lower().endswith((".jp2", ".j2k"))]
        self.identity = start.identity
        driver = signed_driver(start.content)
        if driver not in _REMOTE:
            name = shown(self.asset.href)
            raise InputError(f"{name}: neither a GeoTIFF nor JPEG 2000, which are read from servers; pass another image")
        return driver

    def _read_header(self) -> Header:
        source = self._file
        check_declared(shown(self.asset.href), source)
        has_mask = any(flag.name == "per_dataset" for flag in source.mask_flag_enums[0])
        tags = {name: str(value) for name, value in {**source.tags(), **source.tags(ns="IMAGERY")}.items()}
        return Header(tags, tuple(source.descriptions), tuple(source.colorinterp), has_mask)

    def _repeated(self, work: Callable[[], T]) -> T:
        """Return `work()` with the image open; after a failure, open it anew."""
        rasterio = require_rasterio("reading remote images")

        def attempt(_: int) -> T:
            try:
                if self._data is None:
                    self._open()
                return work()
            except (rasterio.errors.RasterioError, rasterio._err.CPLE_BaseError) as error:
                self._stack.close()
                self._data = None
                raise PassingError(f"reading failed ({self._reason(error)})") from error

        return repeated(shown(self.asset.href), attempt, self._limits if self._driver else Limits(retries=0))

    def _open(self) -> None:
        import rasterio

        href = self.asset.href
        with ExitStack() as stack, warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            if self._driver is None:
                source = stack.enter_context(open_raster(href))
            else:
                self._opened += 1
                source = stack.enter_context(rasterio.open(gdal_name(href, self._opened), driver=self._driver))
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
        return printable(mask_urls(without_secrets(str(error), self.asset.href)))[:_MOST]


def remote_grid(address: str, limits: Limits | None = None) -> Grid:
    """Return the grid of a remote image.

    Raises:
        InputError: The image cannot be read, or has no place.
        MissingDependencyError: rasterio is not installed.
    """
    limits = limits or Limits()
    with remote_reading(limits), AssetSource(Asset(address, address), limits) as source:
        return source.grid


def remote_bands(address: str) -> tuple[tuple[str | None, ...], str]:
    """Return the names of the bands of a remote image, None for those without one, and the type of its values.

    Raises:
        InputError: The image cannot be read, or has no place.
        MissingDependencyError: rasterio is not installed.
    """
    limits = Limits()
    with remote_reading(limits), AssetSource(Asset(address, address), limits) as source:
        return source.header.descriptions, source.dtype


@contextmanager
def remote_reading(limits: Limits) -> Iterator[None]:
    """Limit what GDAL may use of the memory, and the time of its requests; errors are raised, and not logged, with addresses."""
    log = logging.getLogger("rasterio._env")
    with limited_cache(), require_rasterio("reading remote images").Env(**limits.gdal):
        log.addFilter(_is_local)
        try:
            yield
        finally:
            log.removeFilter(_is_local)


def _is_local(record: logging.LogRecord) -> bool:
    """Return whether a message of GDAL is about a local file."""
    return not any(name in record.getMessage() for name in ("HTTP", "://", "/vsi"))
