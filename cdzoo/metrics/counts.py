"""`ClassCounts`: accumulator of the scores of tasks of several classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from cdzoo.metrics.binary import ChangeCounts, Confusion, Scores, pooled
from cdzoo.metrics.classes import Matrix, count_matrix

Further = Callable[[Confusion, Mapping[str, Matrix]], Mapping[str, float]]
"""Scores by name, from the pixels of the binary view at the threshold and the matrices by name."""


class ClassCounts:
    """Counts pixels in a binary view, such as changed and unchanged, and in confusion matrices.

    All counts are int64, so the scores are independent of batch order and number of processes.

    Args:
        sizes: Number of classes of each confusion matrix.
        further: Computes the scores of the task.
        threshold: Minimum probability for a pixel to count as changed, in (0, 1).
        device: Device of the probabilities and targets.

    Attributes:
        change: Counts of the binary view.
        matrices: (K, K) int64 by name: rows are predictions, columns are targets.
    """

    def __init__(
        self, sizes: Mapping[str, int], further: Further, threshold: float = 0.5, device: torch.device | str = "cpu"
    ) -> None:
        self.change = ChangeCounts(threshold, device)
        self.matrices = {name: torch.zeros(size, size, dtype=torch.int64, device=device) for name, size in sizes.items()}
        self._further = further

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of the scores of the task."""
        empty = {name: [[0] * len(table)] * len(table) for name, table in self.matrices.items()}
        return tuple(self._further(Confusion(0, 0, 0, 0), empty))

    def add(self, name: str, predicted: Tensor, truth: Tensor, valid: Tensor) -> None:
        """Count pixels in a matrix.

        Args:
            name: Name of the matrix.
            predicted: Predicted classes, of any shape.
            truth: True classes, of the same shape.
            valid: Pixels to count, Boolean.
        """
        self.matrices[name] += count_matrix(predicted, truth, len(self.matrices[name]), valid)

    def summary(self) -> Scores:
        """Return the scores over all images and processes."""
        counts, image_counts, *tables = pooled([*self.change.state(), *self.matrices.values()])
        scores = self.change.scores(counts, image_counts)
        matrices = {name: table.tolist() for name, table in zip(self.matrices, tables, strict=True)}
        view = Confusion(scores.tp, scores.fp, scores.fn, scores.tn)
        return dataclasses.replace(scores, further=dict(self._further(view, matrices)), matrices=matrices)
