"""Three ways to divide an image into windows.

- `tile_windows`: non-overlapping tiles of the images of a data set; each is a sample.
- `sliding_windows`: overlapping windows of one size whose predictions are averaged, for evaluation protocols.
- `window_spans` and `blending_weights`: overlapping windows, placed and weighted along each axis, whose predictions are blended
  without seams, for scenes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from cdzoo.constants import MIN_SIZE
from cdzoo.errors import ConfigError


@dataclass(frozen=True)
class Window:
    """Rectangle in an image, in pixels: upper left corner and size."""

    y: int
    x: int
    height: int
    width: int

    @classmethod
    def of(cls, rows: range, columns: range) -> Window:
        """Return the window that consists of some rows and columns."""
        return cls(rows.start, columns.start, len(rows), len(columns))

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, as an index of an array (H, W, ...)."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


def tile_windows(height: int, width: int, tile: int) -> list[Window]:
    """Divide an image into tiles, row by row; every pixel is in exactly one of them.

    Tiles are `tile` pixels square. Those at the right and lower border have the remaining size; a remainder of fewer than
    `MIN_SIZE` pixels is added to the tile before it.

    Raises:
        ConfigError: `tile` is smaller than `MIN_SIZE`.
    """
    if tile < MIN_SIZE:
        raise ConfigError(f"tile must be at least {MIN_SIZE} pixels, got {tile}")
    return [Window.of(rows, columns) for rows, columns in product(_tile_spans(height, tile), _tile_spans(width, tile))]


def tile_name(name: str, window: Window) -> str:
    """Name a tile after its image and its upper left corner: `name_0256_0512` starts at row 256, column 512."""
    return f"{name}_{window.y:04d}_{window.x:04d}"


def sliding_windows(height: int, width: int, window: int, overlap: int) -> list[Window]:
    """Cover an image, row by row, with windows of one size.

    Args:
        height: Height of the image in pixels.
        width: Width of the image.
        window: Side of a window; an image that is smaller along an axis has one window of its size there.
        overlap: Overlap of neighboring windows in pixels; the last windows are shifted inward and overlap more.
    """
    rows, columns = (_window_spans(length, window, window - overlap) for length in (height, width))
    return [Window.of(*spans) for spans in product(rows, columns)]


def window_spans(length: int, window: int, overlap: int, multiple: int = 1) -> list[range]:
    """Cover an axis with overlapping windows; return the pixels of each.

    Args:
        length: Number of pixels of the axis.
        window: Number of pixels of a window; the last one may have up to `multiple` - 1 fewer.
        overlap: Minimum overlap of neighboring windows in pixels.
        multiple: Windows start at multiples of this number. If it is a multiple of the strides of a network, the feature maps of
            windows have the same grid as those of the whole image.

    Raises:
        ConfigError: The overlap is more than half of a window, or there is no step of `multiple` between windows.
    """
    if not 0 <= overlap <= window // 2:
        raise ConfigError(f"overlap must be between 0 and half of the tile of {window} pixels, got {overlap}")
    step = (window - overlap) // multiple * multiple
    if step < 1:
        raise ConfigError(f"tile={window} and overlap={overlap} leave no step of {multiple} pixels: use a larger tile")
    return _window_spans(length, window, step, multiple)


def blending_weights(spans: list[range]) -> list[npt.NDArray[np.float32]]:
    """Return the weights of the pixels of each window along an axis; at each pixel of the axis they sum to one.

    In the middle third of the overlap of two windows, the weights change linearly from one window to the other. The weight of a
    window is zero within a third of the overlap from its inner borders, where it lacks context, and one at the borders of the
    scene.
    """
    ramps = [_ramp(first, second) for first, second in pairwise(spans)]
    weights = []
    for index, span in enumerate(spans):
        centers = np.arange(span.start, span.stop, dtype=np.float64) + 0.5
        rise = _ramp_values(centers, *ramps[index - 1]) if index > 0 else np.ones_like(centers)
        fall = _ramp_values(centers, *ramps[index]) if index < len(ramps) else np.zeros_like(centers)
        weights.append((rise - fall).astype(np.float32))
    return weights


def _tile_spans(length: int, tile: int) -> list[range]:
    starts = list(range(0, length, tile))
    if len(starts) > 1 and length - starts[-1] < MIN_SIZE:
        starts.pop()
    return [range(start, stop) for start, stop in pairwise([*starts, length])]


def _window_spans(length: int, window: int, step: int, multiple: int = 1) -> list[range]:
    if length <= window:
        return [range(length)]
    last = -(-(length - window) // multiple) * multiple
    return [range(start, min(start + window, length)) for start in (*range(0, last, step), last)]


def _ramp(first: range, second: range) -> tuple[float, float]:
    """Return the middle of the overlap of two windows, and the width over which their weights change."""
    return (second.start + first.stop) / 2, (first.stop - second.start) / 3


def _ramp_values(centers: npt.NDArray[np.float64], middle: float, width: float) -> npt.NDArray[np.float64]:
    if width <= 0:
        return (centers > middle).astype(np.float64)
    return np.clip((centers - middle) / width + 0.5, 0.0, 1.0)
