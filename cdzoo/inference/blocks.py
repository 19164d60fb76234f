"""Prediction of large scenes in blocks of overlapping windows, blended without seams, in little memory.

The windows of a scene form rows. Each row is divided into blocks of several windows, which are read, predicted and yielded one
after the other. The weighted sums of the pixels that a block shares with later blocks are its border sums: those at its right
border are added to the next block of the row, those at its lower border to the block below. Memory holds the pixels of two
blocks and the border sums of a row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import torch

from cdzoo.constants import MIN_SIZE, WINDOW_BATCH, WINDOW_SIDE
from cdzoo.errors import ConfigError, InputError
from cdzoo.inference.model import PairModel
from cdzoo.inference.sources import Array, Mask, Source
from cdzoo.inference.tta import probability_array
from cdzoo.tiling import Window, blending_weights, window_spans

Float32 = npt.NDArray[np.float32]
Pixels = tuple[Array, Array, Mask]
"""Pixels of both dates, and where both are valid."""
_MIN_WINDOWS = 8  # per block


@dataclass(frozen=True)
class Block:
    """Completed pixels of a scene.

    Attributes:
        row: Index of the row of windows, from the top.
        number: Index of the block in its row, from the left.
        window: Location in the scene.
        probability: Probabilities (..., height, width) in [0, 1], see `Task.probabilities`.
        valid: Whether both dates have data (height, width).
    """

    row: int
    number: int
    window: Window
    probability: Float32
    valid: Mask


class WindowGrid:
    """Windows and blocks of a scene.

    Args:
        model: Its strides determine where windows may start.
        height: Height of the scene in pixels.
        width: Width of the scene.
        tile: Side of a window; by default `WINDOW_SIDE`, or the fixed input size of the model. Models that take squares or
            multiples of a size only have smaller windows in smaller scenes.
        overlap: Pixels that neighboring windows share; a quarter of `tile` by default.
        batch_size: Number of windows predicted at once. All blocks but the last one of a row hold whole batches.

    Attributes:
        tile: Side of a window.
        overlap: Pixels that neighboring windows share.
        rows: Pixels of each row of windows.
        columns: Pixels of each column of windows.
        blocks: Columns of windows of each block of a row.

    Raises:
        ConfigError: The overlap does not match the tile, or the model does not take images of the size of the tile.
        InputError: The scene is smaller than the smallest or the fixed input size of the model.
    """

    def __init__(
        self,
        model: PairModel,
        height: int,
        width: int,
        tile: int | None = None,
        overlap: int | None = None,
        batch_size: int = WINDOW_BATCH,
    ) -> None:
        multiple, smallest, sizes = model.window_multiple, MIN_SIZE, model.input_sizes
        tile = tile or sizes.fixed or WINDOW_SIDE
        if sizes.fixed is not None and tile != sizes.fixed:
            raise ConfigError(f"{model.config.name} accepts images of one size: use tile={sizes.fixed}, got {tile}")
        if not sizes.free:
            if tile % sizes.multiple:
                raise ConfigError(f"{model.config.name} accepts multiples of {sizes.multiple} pixels only: tile={tile} is none")
            # All windows are squares of one size, the last ones of a row or column too.
            smallest = sizes.fixed or max(sizes.multiple, MIN_SIZE)
            side = min(tile, max(smallest, sizes.largest_window(height, width)))
            multiple, tile, overlap = 1, side, overlap if side == tile else None
        if min(height, width) < smallest:
            raise InputError(f"{model.config.name} needs images of at least {smallest}x{smallest} pixels, got {width}x{height}")
        self.tile, self.overlap = tile, tile // 4 if overlap is None else overlap
        self.batch_size = batch_size
        self.rows, self.columns = (window_spans(length, tile, self.overlap, multiple) for length in (height, width))
        self.row_weights, self.column_weights = blending_weights(self.rows), blending_weights(self.columns)
        size = -(-_MIN_WINDOWS // batch_size) * batch_size
        self.blocks = [range(first, min(first + size, len(self.columns))) for first in range(0, len(self.columns), size)]

    @property
    def order(self) -> list[tuple[int, int]]:
        """All blocks as (row, number), from top to bottom and left to right."""
        return list(product(range(len(self.rows)), range(len(self.blocks))))

    def rows_of(self, rows: Collection[int]) -> set[int]:
        """Return rows and those above them whose windows reach into them."""
        return {above for row in rows for above in range(row + 1) if self.rows[above].stop > self.rows[row].start}

    def covered(self, row: int, number: int) -> Window:
        """Return the pixels that the windows of a block cover."""
        columns = [self.columns[index] for index in self.blocks[number]]
        return Window.of(self.rows[row], range(columns[0].start, columns[-1].stop))

    def completed(self, row: int, number: int) -> Window:
        """Return the pixels that are complete after a block, because no later block covers them."""
        columns = self.blocks[number]
        return Window.of(_completed(self.rows, row, row + 1), _completed(self.columns, columns.start, columns.stop))


def predict_blocks(
    model: PairModel,
    before: Source,
    after: Source,
    grid: WindowGrid,
    augment: str = "none",
    missing: Collection[tuple[int, int]] | None = None,
) -> Iterator[Block]:
    """Predict a scene and yield its blocks in order; the next block is read while one is predicted.

    Args:
        model: Model in evaluation mode, on its device.
        before: First date.
        after: Second date, on the same grid.
        grid: Windows and blocks.
        augment: Test-time augmentation, see `cdzoo.inference.tta`.
        missing: Blocks as (row, number) to yield; all of them by default. They have the same values as in a whole run, for which
            the rows of windows that reach into theirs are predicted too.
    """
    wanted = set(grid.order if missing is None else missing)
    rows = grid.rows_of({row for row, _ in wanted})
    order = [block for block in grid.order if block[0] in rows]
    below: dict[tuple[int, int], Float32] = {}
    right = np.zeros((0, 0), np.float32)
    channels = probability_channels(model)
    with ThreadPoolExecutor(1) as reader:
        pending = [reader.submit(_read, before, after, grid.covered(*block)) for block in order[:1]]
        for index, (row, number) in enumerate(order):
            pixels = pending.pop().result()
            pending.extend(reader.submit(_read, before, after, grid.covered(*block)) for block in order[index + 1 : index + 2])
            total = np.zeros((*channels, *pixels[2].shape), np.float32)
            if number > 0:
                total[..., : right.shape[-1]] = right
            _add_predictions(model, pixels, grid, row, number, total, augment)
            window = grid.completed(row, number)
            own = total[..., : window.width]
            above = below.pop((row - 1, number), None)
            if above is not None:
                own[..., : above.shape[-2], :] += above
            below[row, number], right = own[..., window.height :, :].copy(), total[..., window.width :].copy()
            if (row, number) in wanted:
                valid = pixels[2][: window.height, : window.width]
                yield Block(row, number, window, own[..., : window.height, :].clip(0, 1), valid)


def probability_channels(model: PairModel) -> tuple[int, ...]:
    """Return the shape of the probabilities of a pixel: () for one probability, else (number of channels,)."""
    names = model.task.probability_names
    return (len(names),) if names else ()


def _completed(spans: list[range], first: int, following: int) -> range:
    return range(spans[first].start, spans[following].start if following < len(spans) else spans[-1].stop)


def _read(before: Source, after: Source, window: Window) -> Pixels:
    (x1, valid1), (x2, valid2) = (source.read(window) for source in (before, after))
    return x1, x2, valid1 & valid2


def _add_predictions(
    model: PairModel, pixels: Pixels, grid: WindowGrid, row: int, number: int, total: Float32, augment: str
) -> None:
    """Predict the windows of a block and add their weighted probabilities to `total`, the sums of the covered pixels."""
    x1, x2, valid = pixels
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
                # One layout, because convolutions of another one round differently.
                pair.append(torch.from_numpy(windows).permute(0, 3, 1, 2).contiguous().to(model.device))
            predicted = probability_array(model, pair[0], pair[1], augment)
            for i, values in zip(batch, predicted, strict=True):
                weight = grid.row_weights[row][:, None] * grid.column_weights[i][None]
                total[..., slices[i]] += weight * values


def _fill_invalid(image: Array, valid: Mask, model: PairModel) -> Array:
    """Replace pixels without data by the mean used for normalization, so that they are zero in both dates."""
    if valid.all():
        return image
    mean = np.asarray(model.config.mean, np.float32)
    fill = (mean * 255).round().astype(np.uint8) if image.dtype == np.uint8 else mean
    return np.where(valid[..., None], image, fill)
