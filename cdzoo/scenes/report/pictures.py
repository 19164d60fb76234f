"""Pictures of a report: both dates and the maps at a lower resolution, and both dates around the largest areas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.inference.sources import Array, Mask
from cdzoo.scenes.geotiff import block_class
from cdzoo.scenes.raster import RasterSource
from cdzoo.scenes.report.content import Box, Crop, Outline, Pictures, SeriesContent
from cdzoo.tiling import Window
from cdzoo.visualize import to_rgb

_SIDE = 1400  # longest side of the pictures of the scene, in pixels
_CROP = 360  # longest side of a crop, in pixels
_LEAST = 64  # shortest side of the extent of a crop, in pixels of the scene
_MARGIN = 0.3  # around an area, as a share of its longer side
_MAX_PIXELS = 1 << 22  # number of pixels read at once
_PERCENTILES = (1, 99)
_EMPTY = 222  # gray of pixels without data


def draw_pictures(
    dates: tuple[RasterSource, RasterSource],
    maps: Mapping[str, Any],
    outlines: Sequence[Outline],
    series: SeriesContent | None = None,
) -> Pictures:
    """Return the pictures of a report. Memory does not depend on the size of the scene.

    Args:
        dates: Both dates, on one grid.
        maps: Open map of each name.
        outlines: Areas of which crops are made.
        series: Further dates of the crops.
    """
    main, *_ = maps.values()
    factor = max(1, -(-max(main.shape) // _SIDE))
    shown = {name: _reduced(file, factor) for name, file in maps.items()}
    overviews = [_overview(source, factor) for source in dates]
    show = _display(overviews)
    crops = []
    for outline in outlines:
        window = _around(outline.box, main.shape)
        shape = _shape(window)
        before, after = (show(*source.overview(shape, window)) for source in dates)
        box = (window.x, window.y, window.width, window.height)
        if series is None:
            crops.append(Crop(outline, box, before, after))
            continue
        between = [show(*source.overview(shape, window)) for source in series.between]
        named = [*zip(series.names[1:-1], between, strict=True)]
        crops.append(Crop(outline, box, before, after, named, (series.names[0], series.names[-1])))
    before, after = (show(*overview) for overview in overviews)
    return Pictures(before, after, shown, factor, crops)


def _strips(height: int, width: int, factor: int) -> Iterator[Window]:
    """Yield windows of whole rows, whose heights are multiples of a factor except for the last one."""
    step = factor * max(1, _MAX_PIXELS // (factor * width))
    yield from (Window(row, 0, min(step, height - row), width) for row in range(0, height, step))


def _reduced(file: Any, factor: int) -> npt.NDArray[np.uint8]:
    """Return a map where a pixel has the most frequent change of those that it covers."""
    windows = _strips(file.height, file.width, factor)
    return np.concatenate([block_class(file.read(1, window=window.slices), factor) for window in windows])


def _overview(source: RasterSource, factor: int) -> tuple[Array, Mask]:
    """Return a date (h, w, bands) where a pixel is the mean of those that it covers, and where it is valid."""
    columns = -(-source.width // factor)
    windows = _strips(source.height, source.width, factor)
    parts = [source.overview((-(-window.height // factor), columns), window) for window in windows]
    pixels, valid = zip(*parts, strict=True)
    return np.concatenate(pixels), np.concatenate(valid)


def _display(overviews: Sequence[tuple[Array, Mask]]) -> Callable[[Array, Mask], npt.NDArray[np.uint8]]:
    """Return a function from pixels (h, w, bands), and where they are valid, to RGB pictures.

    Images of 8 bits are shown as they are. Others are stretched between percentiles of both dates together, each band alone, as
    the values that a model receives may be dark.
    """
    limits = None
    if all(pixels.dtype != np.uint8 for pixels, _ in overviews):
        values = [to_rgb(pixels)[valid] for pixels, valid in overviews]
        if sum(map(len, values)):
            low, high = np.percentile(np.concatenate(values), _PERCENTILES, axis=0)
            limits = low, np.maximum(high - low, 1e-6)

    def show(pixels: Array, valid: Mask) -> npt.NDArray[np.uint8]:
        picture = to_rgb(pixels)
        if picture.dtype != np.uint8:
            if limits is not None:
                picture = (picture - limits[0]) / limits[1]
            picture = (picture.clip(0, 1) * 255).round()
        return np.where(valid[..., None], picture, _EMPTY).astype(np.uint8)

    return show


def _around(box: Box, shape: tuple[int, int]) -> Window:
    """Return a square window around a box, moved and cut to lie in an image (height, width)."""
    left, top, width, height = box
    side = round(max(_LEAST, max(width, height) * (1 + 2 * _MARGIN)))
    spans = []
    for start, length, limit in ((top, height, shape[0]), (left, width, shape[1])):
        first = min(max(0, round(start + length / 2 - side / 2)), max(0, limit - side))
        spans.append(range(first, min(limit, first + side)))
    return Window.of(*spans)


def _shape(window: Window) -> tuple[int, int]:
    factor = max(1.0, max(window.height, window.width) / _CROP)
    return max(1, round(window.height / factor)), max(1, round(window.width / factor))
