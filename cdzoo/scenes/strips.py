"""A scene as strips of probability: rows are read ahead, predicted in tiles, blended, and given from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cdzoo.models.detector import ChangeDetector
from cdzoo.scenes.augment import probability
from cdzoo.scenes.raster import Source
from cdzoo.scenes.tiling import Span, blend, cut

Float32 = npt.NDArray[np.float32]
Rows = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Strip:
    """Finished rows of a scene.

    Attributes:
        index: Number of the strip from the top.
        rows: Which rows of the scene.
        probability: (rows, W) in [0, 1].
        valid: (rows, W): both dates have data.
    """

    index: int
    rows: Span
    probability: Float32
    valid: npt.NDArray[np.bool_]


class Plan:
    """Which tiles a scene is cut into.

    Args:
        model: Its strides decide where tiles may begin.
        height: Rows of the scene.
        width: Columns.
        tile: Side of a tile.
        overlap: Pixels that neighbours share.
    """

    def __init__(self, model: ChangeDetector, height: int, width: int, tile: int, overlap: int) -> None:
        multiple = math.lcm(model.pad_multiple, max(model.backbone.out_strides))
        self.rows, self.columns = (cut(length, tile, overlap, multiple) for length in (height, width))
        self.row_weights, self.column_weights = blend(self.rows), blend(self.columns)

    def finished_rows(self, index: int) -> Span:
        """Return the rows of the scene that no later row of tiles changes, once row `index` of them is predicted."""
        last = index + 1 == len(self.rows)
        return Span(self.rows[index].start, self.rows[index].stop if last else self.rows[index + 1].start)


def strips(
    model: ChangeDetector, first: Source, second: Source, plan: Plan, batch_size: int, mode: str = "none", begin: int = 0
) -> Iterator[Strip]:
    """Predict a scene and yield its strips, from number `begin` on.

    Memory depends on the width of the scene, not on its height: rows of two strips are held, and a sum of one.

    Args:
        model: In evaluation mode, on its device.
        first: First date.
        second: Second date, on the same grid.
        plan: Tiles.
        batch_size: Tiles predicted at once.
        mode: Test-time augmentation.
        begin: Strips before this one are finished; the row of tiles above is predicted again for what it shares.
    """
    with ThreadPoolExecutor(1) as reader:
        start = max(0, begin - 1)
        coming = reader.submit(_read, first, second, plan.rows[start])
        carried: tuple[Span, Float32] | None = None
        for index in range(start, len(plan.rows)):
            rows, span = coming.result(), plan.rows[index]
            if index + 1 < len(plan.rows):
                coming = reader.submit(_read, first, second, plan.rows[index + 1])
            total = np.zeros(rows[2].shape, np.float32)
            if carried is not None:
                shared = carried[0].stop - span.start
                total[:shared] += carried[1][span.start - carried[0].start :]
            _predict_row(model, rows, plan, index, total, batch_size, mode)
            done = plan.finished_rows(index)
            carried = (Span(done.stop, span.stop), total[done.size :])
            if index >= begin:
                yield Strip(index, done, total[: done.size].clip(0, 1), rows[2][: done.size])


def _read(first: Source, second: Source, span: Span) -> Rows:
    (a, valid_a), (b, valid_b) = first.read(span.start, span.stop), second.read(span.start, span.stop)
    return a, b, valid_a & valid_b


def _predict_row(model: ChangeDetector, rows: Rows, plan: Plan, index: int, total: Float32, batch_size: int, mode: str) -> None:
    """Add the weighted probability of a row of tiles to `total`."""
    a, b, valid = rows
    device = next(model.parameters()).device
    wanted = [i for i, span in enumerate(plan.columns) if valid[:, span.start : span.stop].any()]
    # Only the last tile of a row can be narrower; tiles of one size go together.
    for group in ([i for i in wanted if plan.columns[i].size == size] for size in {s.size for s in plan.columns}):
        for begin in range(0, len(group), batch_size):
            some = [(i, plan.columns[i]) for i in group[begin : begin + batch_size]]
            pair = []
            for image in (a, b):
                stack = np.stack([_filled(image[:, s.start : s.stop], valid[:, s.start : s.stop], model) for _, s in some])
                pair.append(torch.from_numpy(stack).permute(0, 3, 1, 2).to(device))
            with torch.inference_mode():
                predicted = probability(model, pair[0], pair[1], mode).cpu().numpy()
            for (i, span), one in zip(some, predicted, strict=True):
                weight = plan.row_weights[index][:, None] * plan.column_weights[i][None]
                total[:, span.start : span.stop] += weight * one


def _filled(image: npt.NDArray[Any], valid: npt.NDArray[np.bool_], model: ChangeDetector) -> npt.NDArray[Any]:
    """Put the mean of the model's normalisation where there is no data, in both dates: nothing to see, and no change."""
    if valid.all():
        return image
    mean = np.asarray(model.config.mean, np.float32)
    neutral = (mean * 255).round().astype(np.uint8) if image.dtype == np.uint8 else mean
    return np.where(valid[..., None], image, neutral)
