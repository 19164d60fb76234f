"""Cutting large pairs into tiles, the same way on the fly and on disk."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch.utils.data import Dataset

from cdzoo.data.folder import FilePairs
from cdzoo.data.images import image_size
from cdzoo.errors import ConfigError

SMALLEST = 32
"""Pixels; a narrower rest at the right or lower edge is left with the tile before it, as no model takes less."""


@dataclass(frozen=True)
class Window:
    """A rectangle in pixels of an image."""

    y: int
    x: int
    height: int
    width: int


def tile_windows(height: int, width: int, tile: int) -> list[Window]:
    """Cut an image into tiles, row by row; every pixel is in exactly one.

    Tiles are `tile` pixels square; those at the right and lower edge are what is left, see `SMALLEST`.

    Raises:
        ConfigError: `tile` is smaller than 32 pixels.
    """
    if tile < SMALLEST:
        raise ConfigError(f"tile must be at least {SMALLEST} pixels, got {tile}")
    rows, columns = _cuts(height, tile), _cuts(width, tile)
    return [Window(y, x, h, w) for y, h in rows for x, w in columns]


def tile_name(name: str, window: Window) -> str:
    """Name a tile after its image and its upper left corner: `name_0256_0512` begins at row 256, column 512."""
    return f"{name}_{window.y:04d}_{window.x:04d}"


class TiledPairs(Dataset[dict[str, Any]]):
    """The tiles of pairs of files, cut when they are read. Images that are no larger than a tile stay as they are.

    Reading in order decodes each image once; reading at random decodes it for every tile, which `cdzoo data prepare` avoids.

    Args:
        pairs: The whole images.
        tile: Side of a tile in pixels.
    """

    def __init__(self, pairs: FilePairs, tile: int) -> None:
        self.whole = pairs
        self.tile = tile
        self.windows: list[tuple[int, Window | None]] = []
        for index, pair in enumerate(pairs.pairs):
            cut = tile_windows(*image_size(pair.mask), tile)
            self.windows += [(index, window) for window in cut] if len(cut) > 1 else [(index, None)]
        self._last: tuple[int, dict[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one tile as a sample."""
        image, window = self.windows[index]
        if self._last is None or self._last[0] != image:
            self._last = (image, self.whole[image])
        sample = self._last[1]
        return sample if window is None else cut(sample, window)

    @property
    def names(self) -> list[str]:
        """Names of the tiles, in order."""
        whole = self.whole.names
        return [whole[image] if window is None else tile_name(whole[image], window) for image, window in self.windows]

    def has_change(self) -> bool:
        """Tell whether any mask shows change."""
        return self.whole.has_change()


def cut(sample: dict[str, Any], window: Window) -> dict[str, Any]:
    """Cut a window out of a sample, and name it after it."""
    rows, columns = slice(window.y, window.y + window.height), slice(window.x, window.x + window.width)
    maps = {key: sample[key][..., rows, columns] for key in ("image_a", "image_b", "mask")}
    return {**sample, **maps, "name": tile_name(sample["name"], window)}


def _cuts(length: int, tile: int) -> list[tuple[int, int]]:
    starts = list(range(0, length, tile))
    if len(starts) > 1 and length - starts[-1] < SMALLEST:
        starts.pop()
    return [(start, end - start) for start, end in pairwise([*starts, length])]
