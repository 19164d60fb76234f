"""Prediction of large scenes in blocks of overlapping windows, blended without seams, in constant memory.

The windows of a scene form rows. Each row is divided into blocks of several windows, which are read, predicted and yielded one
after the other. The weighted sums of the pixels that a block shares with later blocks are its border sums: those at its right
border are added to the next block of the row, those at its lower border to the block below. Only the pixels of two blocks are in
memory; the border sums may be stored on disk.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from cdzoo.errors import ConfigError, InputError
from cdzoo.inference.sources import Array, Mask, Source
from cdzoo.inference.tta import probability
from cdzoo.models.detector import ChangeDetector
from cdzoo.tiling import Window, blending_weights, window_spans

Float32 = npt.NDArray[np.float32]
Pixels = tuple[Array, Array, Mask]
"""Pixels of both dates, and where both are valid."""
_MIN_WINDOWS = 8  # per block
ROWS_KEPT = 3
"""Number of rows of windows whose border sums are kept. If a run is interrupted after the first block of a row was predicted but
not written, the resumed run starts in the row above, which requires the sums of the row above that."""


@dataclass(frozen=True)
class Block:
    """Completed pixels of a scene.

    Attributes:
        row: Index of the row of windows, from the top.
        number: Index of the block in its row, from the left.
        window: Location in the scene.
        probability: Probability of change (height, width) in [0, 1].
        valid: Whether both dates have data (height, width).
    """

    row: int
    number: int
    window: Window
    probability: Float32
    valid: Mask


class BorderSums(Protocol):
    """Storage of the border sums of blocks."""

    def put(self, row: int, number: int, below: Float32, right: Float32) -> None:
        """Store the sums of the rows (n, width) below a block and of the columns (height, n) to the right of it.

        Sums of `ROWS_KEPT` rows above the block or more may be removed.
        """

    def get(self, row: int, number: int) -> tuple[Float32, Float32]:
        """Return the sums below a block and to the right of it."""


class BorderSumsInMemory:
    """Border sums in memory, for images that fit into memory themselves."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, int], tuple[Float32, Float32]] = {}

    def put(self, row: int, number: int, below: Float32, right: Float32) -> None:
        """Store the sums below a block and to the right of it."""
        self._sums[row, number] = below, right
        self._sums.pop((row - ROWS_KEPT, number), None)

    def get(self, row: int, number: int) -> tuple[Float32, Float32]:
        """Return the sums below a block and to the right of it."""
        return self._sums[row, number]


class WindowGrid:
    """Windows and blocks of a scene.

    Args:
        model: Its strides determine where windows may start.
        height: Height of the scene in pixels.
        width: Width of the scene.
        tile: Side of a window.
        overlap: Pixels that neighboring windows share.
        batch_size: Number of windows predicted at once. All blocks but the last one of a row hold whole batches.

    Attributes:
        rows: Pixels of each row of windows.
        columns: Pixels of each column of windows.
        blocks: Columns of windows of each block of a row.

    Raises:
        ConfigError: The overlap does not match the tile, or the model has a fixed input size other than the tile.
        InputError: The scene is smaller than the fixed input size of the model.
    """

    def __init__(self, model: ChangeDetector, height: int, width: int, tile: int, overlap: int, batch_size: int) -> None:
        multiple = math.lcm(model.pad_multiple, max(model.backbone.out_strides))
        if model.fixed_input_size is not None:
            multiple = 1  # so that the last window is not smaller than the others
            if tile != model.fixed_input_size:
                raise ConfigError(
                    f"{model.config.name} accepts images of one size: use tile={model.fixed_input_size}, got {tile}"
                )
            if min(height, width) < tile:
                raise InputError(f"{model.config.name} needs images of at least {tile}x{tile} pixels, got {width}x{height}")
        self.batch_size = batch_size
        self.rows, self.columns = (window_spans(length, tile, overlap, multiple) for length in (height, width))
        self.row_weights, self.column_weights = blending_weights(self.rows), blending_weights(self.columns)
        size = -(-_MIN_WINDOWS // batch_size) * batch_size
        self.blocks = [range(first, min(first + size, len(self.columns))) for first in range(0, len(self.columns), size)]

    @property
    def order(self) -> list[tuple[int, int]]:
        """All blocks as (row, number), from top to bottom and left to right."""
        return list(product(range(len(self.rows)), range(len(self.blocks))))

    def covered(self, row: int, number: int) -> Window:
        """Return the pixels that the windows of a block cover."""
        columns = [self.columns[index] for index in self.blocks[number]]
        return Window.of(self.rows[row], range(columns[0].start, columns[-1].stop))

    def completed(self, row: int, number: int) -> Window:
        """Return the pixels that are complete after a block, because no later block covers them."""
        columns = self.blocks[number]
        return Window.of(_completed(self.rows, row, row + 1), _completed(self.columns, columns.start, columns.stop))


def predict_blocks(
    model: ChangeDetector,
    before: Source,
    after: Source,
    grid: WindowGrid,
    sums: BorderSums,
    augment: str = "none",
    start: int = 0,
) -> Iterator[Block]:
    """Predict a scene and yield its blocks in order; the next block is read while one is predicted.

    Args:
        model: Model in evaluation mode, on its device.
        before: First date.
        after: Second date, on the same grid.
        grid: Windows and blocks.
        sums: Storage of the border sums; those of a block are stored before it is yielded.
        augment: Test-time augmentation, see `cdzoo.inference.tta`.
        start: Number of blocks to skip, whose border sums are in `sums`.
    """
    order = grid.order[start:]
    if not order:
        return
    with ThreadPoolExecutor(1) as reader:
        pending = reader.submit(_read, before, after, grid.covered(*order[0]))
        for index, (row, number) in enumerate(order):
            pixels = pending.result()
            if index + 1 < len(order):
                pending = reader.submit(_read, before, after, grid.covered(*order[index + 1]))
            total = np.zeros(pixels[2].shape, np.float32)
            if number > 0:
                right = sums.get(row, number - 1)[1]
                total[:, : right.shape[1]] = right
            _add_predictions(model, pixels, grid, row, number, total, augment)
            window = grid.completed(row, number)
            own = total[:, : window.width]
            if row > 0:
                below = sums.get(row - 1, number)[0]
                own[: len(below)] += below
            sums.put(row, number, own[window.height :].copy(), total[:, window.width :].copy())
            valid = pixels[2][: window.height, : window.width]
            yield Block(row, number, window, own[: window.height].clip(0, 1), valid)


def _completed(spans: list[range], first: int, following: int) -> range:
    return range(spans[first].start, spans[following].start if following < len(spans) else spans[-1].stop)


def _read(before: Source, after: Source, window: Window) -> Pixels:
    (x1, valid1), (x2, valid2) = (source.read(window) for source in (before, after))
    return x1, x2, valid1 & valid2


def _add_predictions(
    model: ChangeDetector, pixels: Pixels, grid: WindowGrid, row: int, number: int, total: Float32, augment: str
) -> None:
    """Predict the windows of a block and add their weighted probabilities to `total`, the sums of the covered pixels."""
    x1, x2, valid = pixels
    device = next(model.parameters()).device
    left = grid.covered(row, number).x
    slices = {i: slice(grid.columns[i].start - left, grid.columns[i].stop - left) for i in grid.blocks[number]}
    with_data = [i for i, columns in slices.items() if valid[:, columns].any()]
    # Only the last window of a row can be narrower; a batch has windows of one size.
    for width in dict.fromkeys(len(grid.columns[i]) for i in with_data):
        group = [i for i in with_data if len(grid.columns[i]) == width]
        for first in range(0, len(group), grid.batch_size):
            batch = group[first : first + grid.batch_size]
            pair = []
            for image in (x1, x2):
                windows = np.stack([_fill_invalid(image[:, slices[i]], valid[:, slices[i]], model) for i in batch])
                pair.append(torch.from_numpy(windows).permute(0, 3, 1, 2).to(device))
            with torch.inference_mode():
                predicted = probability(model, pair[0], pair[1], augment).cpu().numpy()
            for i, values in zip(batch, predicted, strict=True):
                weight = grid.row_weights[row][:, None] * grid.column_weights[i][None]
                total[:, slices[i]] += weight * values


def _fill_invalid(image: Array, valid: Mask, model: ChangeDetector) -> Array:
    """Replace pixels without data by the mean used for normalization, so that they are zero in both dates."""
    if valid.all():
        return image
    mean = np.asarray(model.config.mean, np.float32)
    fill = (mean * 255).round().astype(np.uint8) if image.dtype == np.uint8 else mean
    return np.where(valid[..., None], image, fill)
