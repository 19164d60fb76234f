"""`PairMaps`: maps and probabilities of the pairs of a series, combined block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cdzoo.inference.sources import Array
from cdzoo.io.georeference import Grid
from cdzoo.io.rasters import open_raster
from cdzoo.scenes.geotiff import encode_probability, is_changed, read_change_probability
from cdzoo.scenes.persistence import LASTING, PASSING, UNCONFIRMED, Persistence, persistence, series_probability
from cdzoo.tasks import Task
from cdzoo.tiling import Window

BANDS = ("change", "change between the last image before and the first")
"""Bands of the probability."""


@dataclass(frozen=True)
class PairMaps:
    """Maps and probabilities of the pairs of a series of K images.

    Attributes:
        from_first: Files (K - 1) of the pairs of the first image with each other one.
        consecutive: Files (K - 1) of the pairs of each image with the next one.
        grid: Grid of all of them.
        task: Task of the model.
    """

    from_first: Sequence[tuple[Path, Path]]
    consecutive: Sequence[tuple[Path, Path]]
    grid: Grid
    task: Task

    def windows(self) -> Iterator[Window]:
        """Yield the blocks of the maps."""
        with open_raster(self.from_first[0][0]) as file:
            blocks = [block for _, block in file.block_windows(1)]
        for block in blocks:
            yield Window(block.row_off, block.col_off, block.height, block.width)

    def classified(self) -> Iterator[tuple[Window, Persistence]]:
        """Yield the changes of each block."""
        with ExitStack() as stack:
            files = [stack.enter_context(open_raster(path)) for path, _ in self.from_first]
            for window in self.windows():
                values = np.stack([file.read(1, window=window.slices) for file in files])
                yield window, persistence(np.where(is_changed(values), 1, values).astype(np.uint8))

    def states(self, count: int) -> Iterator[tuple[Window, Array]]:
        """Yield the values of a map of the kinds of change, lasting ones by date, of `count` images; see `state_legend`."""
        for window, found in self.classified():
            lasting = np.where(found.kind == LASTING, found.first - np.uint8(1), found.kind)
            others = (found.kind == PASSING) | (found.kind == UNCONFIRMED)
            yield window, np.where(others, count + found.kind - PASSING, lasting).astype(np.uint8)

    def steps(self, window: Window, found: Persistence) -> npt.NDArray[np.float32]:
        """Return the probability (h, w) of change from the image before the first of a lasting change to that; else NaN."""
        result = np.full(found.kind.shape, np.nan, np.float32)
        for number, (_, path) in enumerate(self.consecutive, 2):
            at = (found.first == number) & (found.last_before == number - 1)
            if at.any():
                with open_raster(path) as file:
                    result[at] = read_change_probability(file, self.task, window.slices)[at]
        return result

    def probabilities(self) -> Iterator[tuple[Window, Array]]:
        """Yield the bands `BANDS` of each block, encoded."""
        with ExitStack() as stack:
            files = [stack.enter_context(open_raster(path)) for _, path in self.from_first]
            for window, found in self.classified():
                each = np.stack([read_change_probability(file, self.task, window.slices) for file in files])
                bands = [series_probability(each.astype(np.float32), found), self.steps(window, found)]
                yield window, np.stack([encode_probability(band, ~np.isnan(band), "uint8") for band in bands])
