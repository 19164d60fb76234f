"""Items of SpatioTemporal Asset Catalogs (STAC), and their assets."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from cdzoo.errors import InputError, printable, require
from cdzoo.io.files import PathLike
from cdzoo.io.inputs import existing_file
from cdzoo.io.objects import is_remote
from cdzoo.io.remote import Limits, download, is_address, shown
from cdzoo.names import nearest

_MOST = 20 << 20  # bytes of an item


@dataclass(frozen=True)
class Asset:
    """Image of an item.

    Attributes:
        name: Key of the asset.
        href: Address, or path of a local file.
        bands: What the item states for each band: `scale`, `offset`, `nodata`, as far as it does; empty if it lists no bands.
    """

    name: str
    href: str
    bands: tuple[Mapping[str, float], ...] = ()

    def stated(self, band: int) -> Mapping[str, float]:
        """Return what the item states for a band, counted from 0."""
        return self.bands[band] if band < len(self.bands) else {}


@dataclass(frozen=True)
class Item:
    """Images of one place and date.

    Attributes:
        name: Identifier.
        date: Day of acquisition, `YYYY-MM-DD`; None if it is not stated.
        assets: Images that were asked for.
    """

    name: str
    date: str | None
    assets: tuple[Asset, ...]

    @property
    def files(self) -> list[Path]:
        """Local files among the assets."""
        return [Path(asset.href) for asset in self.assets if not is_remote(asset.href)]


def read_item(name: PathLike, assets: Sequence[str], limits: Limits | None = None) -> Item:
    """Read an item.

    Args:
        name: Local file, or address that starts with `http://` or `https://`.
        assets: Keys of the assets to take, in this order.
        limits: Time and attempts of requests.

    Raises:
        InputError: The item cannot be read, is none, or has no such assets; or an asset has another kind of address.
        MissingDependencyError: pystac is not installed.
    """
    pystac = require("pystac", "stac", "reading STAC items")
    place = os.fspath(name)
    try:
        text = download(place, limits or Limits(), _MOST)[1] if is_address(place) else existing_file(place).read_bytes()
        data = json.loads(text)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{shown(place)}: not JSON; pass the file of a STAC item") from error
    kind = data.get("type") if isinstance(data, dict) else None
    if kind != "Feature":
        found = printable(kind)[:40] if kind else "no item"
        raise InputError(f"{shown(place)}: {found}, not a STAC item (type Feature); pass the file or address of one item")
    try:
        item = pystac.Item.from_dict(data, migrate=True)
    except (pystac.STACError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{shown(place)}: not a valid STAC item ({printable(error)[:200]})") from error
    date = item.datetime or item.common_metadata.start_datetime
    taken = tuple(_asset(place, item.assets, asset) for asset in assets)
    return Item(printable(item.id), None if date is None else date.date().isoformat(), taken)


def _asset(place: str, assets: Mapping[str, Any], name: str) -> Asset:
    if name not in assets:
        close = nearest(name, list(assets))
        near = f" Did you mean '{printable(close)}'?" if close else ""
        raise InputError(f"{shown(place)}: has no asset '{name}'.{near} It has: {printable(', '.join(assets))}")
    asset = assets[name]
    return Asset(name, _resolved(place, name, str(asset.href)), tuple(_bands(asset.extra_fields)))


def _resolved(place: str, name: str, href: str) -> str:
    """Return the address or the path of an asset; an item of a server names no local files."""
    if is_address(place):
        href = urljoin(place, href)
    if is_remote(href):
        return href
    scheme = urlsplit(href).scheme
    if is_address(place) or (len(scheme) > 1 and scheme != "file"):  # one letter is a drive
        raise InputError(
            f"{shown(place)}: asset '{name}' is at an address that is not read ({printable(scheme or href)[:80]}); those of "
            "http://, https:// and s3:// are, and local files of a local item"
        )
    path = unquote(urlsplit(href).path) if scheme == "file" else href
    return str(existing_file(Path(place).parent / path))


def _bands(fields: Mapping[str, Any]) -> Iterator[Mapping[str, float]]:
    """Return what is stated for each band: by version 1 of the raster extension, or by STAC 1.1 and version 2."""
    bands = fields.get("raster:bands") or fields.get("bands") or [{}]
    for band in bands if isinstance(bands, list) else ():
        stated: dict[str, float] = {}
        for name in ("scale", "offset", "nodata"):
            for source in (band, fields):
                value = source.get(f"raster:{name}", source.get(name)) if isinstance(source, dict) else None
                try:
                    stated.setdefault(name, float(value))  # type: ignore[arg-type]  # None is skipped
                except (TypeError, ValueError):
                    continue
        yield stated
