"""A scene as parts of probability: windows are read ahead, predicted in tiles, blended, and given row by row of tiles.

A row of tiles is a strip of the scene, cut into parts of a few tiles each. What a part leaves unfinished is carried: its right
border to the next part, its lower border to the next strip. So memory holds two windows of the scene, however large it is, and
what is carried can be kept anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from cdzoo.inference.tta import probability
from cdzoo.models.detector import ChangeDetector
from cdzoo.tiling import Span, blend, cut

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Window = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.bool_]]
_TILES = 8  # of a part, at least
STRIPS_CARRIED = 3
"""For how many strips what they left is kept. The last part may have been predicted and not written, and be the only one of its
strip: a run that goes on then begins in the strip above the current one, and needs what is above that."""


@dataclass(frozen=True)
class Part:
    """Finished pixels of a scene.

    Attributes:
        strip: Number of the row of tiles, from the top.
        number: Number of the part in its strip, from the left.
        rows: Which rows of the scene.
        columns: Which columns.
        probability: (rows, columns) in [0, 1].
        valid: (rows, columns): both dates have data.
    """

    strip: int
    number: int
    rows: Span
    columns: Span
    probability: Float32
    valid: npt.NDArray[np.bool_]


class Carry(Protocol):
    """Keeps what parts leave to their neighbours: sums of the rows below (n, columns), and of the columns beside (rows, n)."""

    def put(self, strip: int, part: int, below: Float32, beside: Float32) -> None:
        """Keep the sums of a part; those of `STRIPS_CARRIED` strips above are needed no more."""
        ...

    def get(self, strip: int, part: int) -> tuple[Float32, Float32]:
        """Return them."""
        ...


class CarryInMemory:
    """Keeps them in memory, for images that are there themselves."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], tuple[Float32, Float32]] = {}

    def put(self, strip: int, part: int, below: Float32, beside: Float32) -> None:
        """Keep the sums of a part."""
        self._kept[strip, part] = below, beside
        self._kept.pop((strip - STRIPS_CARRIED, part), None)

    def get(self, strip: int, part: int) -> tuple[Float32, Float32]:
        """Return them."""
        return self._kept[strip, part]


class Plan:
    """Which tiles and parts a scene is cut into.

    Args:
        model: Its strides decide where tiles may begin.
        height: Rows of the scene.
        width: Columns.
        tile: Side of a tile.
        overlap: Pixels that neighbours share.
        batch_size: Tiles predicted at once; parts are whole batches.
    """

    def __init__(self, model: ChangeDetector, height: int, width: int, tile: int, overlap: int, batch_size: int) -> None:
        multiple = math.lcm(model.pad_multiple, max(model.backbone.out_strides))
        self.batch_size = batch_size
        self.rows, self.columns = (cut(length, tile, overlap, multiple) for length in (height, width))
        self.row_weights, self.column_weights = blend(self.rows), blend(self.columns)
        size = -(-_TILES // batch_size) * batch_size
        self.parts = [range(first, min(first + size, len(self.columns))) for first in range(0, len(self.columns), size)]

    def finished_rows(self, strip: int) -> Span:
        """Return the rows of the scene that no later strip changes."""
        return _finished(self.rows, strip, strip + 1)

    def finished_columns(self, part: int) -> Span:
        """Return the columns of the scene that no later part of the same strip changes."""
        return _finished(self.columns, self.parts[part].start, self.parts[part].stop)

    @property
    def order(self) -> list[tuple[int, int]]:
        """All parts as (strip, part), from top to bottom and left to right."""
        return list(product(range(len(self.rows)), range(len(self.parts))))


def _finished(spans: list[Span], first: int, behind: int) -> Span:
    return Span(spans[first].start, spans[behind].start if behind < len(spans) else spans[-1].stop)


def parts(
    model: ChangeDetector, first: Source, second: Source, plan: Plan, carry: Carry, mode: str = "none", begin: int = 0
) -> Iterator[Part]:
    """Predict a scene and yield its parts in their order.

    Args:
        model: In evaluation mode, on its device.
        first: First date.
        second: Second date, on the same grid.
        plan: Tiles and parts.
        carry: Where parts leave what their neighbours need; it is complete for a part before that part is yielded.
        mode: Test-time augmentation.
        begin: So many parts are finished, and `carry` has what they left.
    """
    order = plan.order[begin:]
    if not order:
        return
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(_read, first, second, plan, *order[0])
        for number, (strip, part) in enumerate(order):
            window = coming.result()
            if number + 1 < len(order):
                coming = reader.submit(_read, first, second, plan, *order[number + 1])
            rows, columns = plan.finished_rows(strip), plan.finished_columns(part)
            total = np.zeros(window[2].shape, np.float32)
            if part > 0:
                beside = carry.get(strip, part - 1)[1]
                total[:, : beside.shape[1]] = beside
            _predict(model, window, plan, strip, part, total, mode)
            own = total[:, : columns.size]
            if strip > 0:
                above = carry.get(strip - 1, part)[0]
                own[: len(above)] += above
            carry.put(strip, part, own[rows.size :].copy(), total[:, columns.size :].copy())
            valid = window[2][: rows.size, : columns.size]
            yield Part(strip, part, rows, columns, own[: rows.size].clip(0, 1), valid)


def _read(first: Source, second: Source, plan: Plan, strip: int, part: int) -> Window:
    tiles = plan.parts[part]
    columns = Span(plan.columns[tiles.start].start, plan.columns[tiles.stop - 1].stop)
    (a, valid_a), (b, valid_b) = (source.read(plan.rows[strip], columns) for source in (first, second))
    return a, b, valid_a & valid_b


def _predict(model: ChangeDetector, window: Window, plan: Plan, strip: int, part: int, total: Float32, mode: str) -> None:
    """Add the weighted probability of the tiles of a part to `total`, whose columns begin where the first of them does."""
    a, b, valid = window
    device = next(model.parameters()).device
    left = plan.columns[plan.parts[part].start].start
    spans = {i: Span(plan.columns[i].start - left, plan.columns[i].stop - left) for i in plan.parts[part]}
    wanted = [i for i, span in spans.items() if valid[:, span.start : span.stop].any()]
    # Only the last tile of a row can be narrower; tiles of one size go together.
    for group in ([i for i in wanted if spans[i].size == size] for size in dict.fromkeys(s.size for s in spans.values())):
        for begin in range(0, len(group), plan.batch_size):
            some = group[begin : begin + plan.batch_size]
            pair = []
            for image in (a, b):
                cuts = (slice(spans[i].start, spans[i].stop) for i in some)
                stack = np.stack([_filled(image[:, cut], valid[:, cut], model) for cut in cuts])
                pair.append(torch.from_numpy(stack).permute(0, 3, 1, 2).to(device))
            with torch.inference_mode():
                predicted = probability(model, pair[0], pair[1], mode).cpu().numpy()
            for i, one in zip(some, predicted, strict=True):
                weight = plan.row_weights[strip][:, None] * plan.column_weights[i][None]
                total[:, spans[i].start : spans[i].stop] += weight * one


def _filled(image: npt.NDArray[Any], valid: npt.NDArray[np.bool_], model: ChangeDetector) -> npt.NDArray[Any]:
    """Put the mean of the model's normalisation where there is no data, in both dates: nothing to see, and no change."""
    if valid.all():
        return image
    mean = np.asarray(model.config.mean, np.float32)
    neutral = (mean * 255).round().astype(np.uint8) if image.dtype == np.uint8 else mean
    return np.where(valid[..., None], image, neutral)


class Source(Protocol):
    """Something that gives windows of pixels."""

    height: int
    width: int
    bands: int

    def read(self, rows: Span, columns: Span) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Return a window as (rows, columns, bands), uint8 or float32 in [0, 1], and where it is valid (rows, columns)."""
        ...


class ArraySource:
    """An array (H, W, bands) of uint8, or of float32 in [0, 1]."""

    def __init__(self, pixels: Array) -> None:
        self.pixels = pixels
        self.height, self.width, self.bands = pixels.shape

    def read(self, rows: Span, columns: Span) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Return a window; all of it is valid."""
        window = self.pixels[rows.start : rows.stop, columns.start : columns.stop]
        return window, np.ones(window.shape[:2], np.bool_)
