"""Tiles along one axis, and weights that blend them without seams.

Between two neighbours the weight passes from one to the other over the middle third of what they share. Within a third of the
overlap from an inner border a tile has no say, for there it lacks what lies beyond; at the border of the scene it has all.
The weights add up to one at every pixel. Tiles start at multiples of the model's stride, so that a tile is sampled as the
whole image would be; the last one is shifted inwards, to the next such multiple, and ends where the scene ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cdzoo.constants import MIN_SIZE
from cdzoo.errors import ConfigError


@dataclass(frozen=True)
class Span:
    """Pixels [start, stop) of an axis."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.stop - self.start


def cut(length: int, tile: int, overlap: int, multiple: int = 1) -> list[Span]:
    """Cover an axis with tiles.

    Args:
        length: Pixels of the axis.
        tile: Pixels of a tile; the last one may have up to `multiple` - 1 fewer.
        overlap: Pixels that neighbours share at least.
        multiple: Tiles start at multiples of this.

    Raises:
        ConfigError: The overlap is more than half of a tile, or no step of `multiple` is left between tiles.
    """
    if not 0 <= overlap <= tile // 2:
        raise ConfigError(f"the overlap must be between 0 and half of the tile of {tile} pixels, got {overlap}")
    step = (tile - overlap) // multiple * multiple
    if step < 1:
        raise ConfigError(f"tiles of {tile} pixels that share {overlap} leave no step of {multiple} pixels: take larger tiles")
    if length <= tile:
        return [Span(0, length)]
    last = -(-(length - tile) // multiple) * multiple
    starts = [*range(0, last, step), last]
    return [Span(start, min(start + tile, length)) for start in starts]


def blend(spans: list[Span]) -> list[npt.NDArray[np.float32]]:
    """Return the weight of each pixel of each tile; at every pixel of the axis they add up to one."""
    steps = [_step(first, second) for first, second in pairwise(spans)]
    weights = []
    for index, span in enumerate(spans):
        at = np.arange(span.start, span.stop, dtype=np.float64) + 0.5
        begun = _passed(at, *steps[index - 1]) if index > 0 else np.ones_like(at)
        ended = _passed(at, *steps[index]) if index < len(steps) else np.zeros_like(at)
        weights.append((begun - ended).astype(np.float32))
    return weights


def _step(first: Span, second: Span) -> tuple[float, float]:
    """Return the middle of what two tiles share, and the width over which the weight passes from one to the other."""
    shared = first.stop - second.start
    return (second.start + first.stop) / 2, shared / 3


def _passed(at: npt.NDArray[np.float64], middle: float, width: float) -> npt.NDArray[np.float64]:
    if width <= 0:
        return (at > middle).astype(np.float64)
    return np.clip((at - middle) / width + 0.5, 0.0, 1.0)


@dataclass(frozen=True)
class Window:
    """A rectangle in pixels of an image."""

    y: int
    x: int
    height: int
    width: int


def tile_windows(height: int, width: int, tile: int) -> list[Window]:
    """Cut an image into tiles, row by row; every pixel is in exactly one.

    Tiles are `tile` pixels square; those at the right and lower edge are what is left, see `MIN_SIZE`.

    Raises:
        ConfigError: `tile` is smaller than 32 pixels.
    """
    if tile < MIN_SIZE:
        raise ConfigError(f"tile must be at least {MIN_SIZE} pixels, got {tile}")
    rows, columns = _cuts(height, tile), _cuts(width, tile)
    return [Window(y, x, h, w) for y, h in rows for x, w in columns]


def tile_name(name: str, window: Window) -> str:
    """Name a tile after its image and its upper left corner: `name_0256_0512` begins at row 256, column 512."""
    return f"{name}_{window.y:04d}_{window.x:04d}"


def _cuts(length: int, tile: int) -> list[tuple[int, int]]:
    starts = list(range(0, length, tile))
    if len(starts) > 1 and length - starts[-1] < MIN_SIZE:
        starts.pop()
    return [(start, end - start) for start, end in pairwise([*starts, length])]


def sliding_windows(height: int, width: int, window: int, overlap: int) -> list[Window]:
    """Cover an image with windows of one size that share `overlap` pixels; the last ones are shifted inwards to fit."""

    def starts(length: int) -> list[int]:
        side = min(window, length)
        return sorted({min(start, length - side) for start in range(0, max(1, length - overlap), window - overlap)})

    high, wide = min(window, height), min(window, width)
    return [Window(y, x, high, wide) for y in starts(height) for x in starts(width)]
