"""`ClassCounts`: accumulator of the scores of tasks of several classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from cdzoo.metrics.binary import ChangeCounts, Scores, pooled
from cdzoo.metrics.classes import count_matrix


class ClassCounts:
    """Counts pixels in a binary view, such as changed and unchanged, and in confusion matrices.

    All counts are int64, so the scores are independent of batch order and number of processes.

    Args:
        labels: Names of the classes of each confusion matrix.
        finish: Adds the scores of the task to those of the binary view, given the matrices.
        threshold: Minimum probability for a pixel to count as changed, in (0, 1).
        device: Device of the probabilities and targets.

    Attributes:
        change: Counts of the binary view.
        matrices: (K, K) int64 by name: rows are predictions, columns are targets.
    """

    def __init__(
        self,
        labels: Mapping[str, Sequence[str]],
        finish: Callable[[Scores], Scores],
        threshold: float = 0.5,
        device: torch.device | str = "cpu",
    ) -> None:
        self.change = ChangeCounts(threshold, device)
        self.matrices = {name: torch.zeros(len(of), len(of), dtype=torch.int64, device=device) for name, of in labels.items()}
        self._labels = {name: list(of) for name, of in labels.items()}
        self._finish = finish

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of the scores of the task."""
        return tuple(self._scores([torch.zeros_like(tensor) for tensor in self._state()]).further)

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
        return self._scores(pooled(self._state()))

    def _state(self) -> list[Tensor]:
        return [*self.change.state(), *self.matrices.values()]

    def _scores(self, state: Sequence[Tensor]) -> Scores:
        counts, image_counts, *tables = state
        matrices = {name: table.tolist() for name, table in zip(self.matrices, tables, strict=True)}
        return self._finish(dataclasses.replace(self.change.scores(counts, image_counts), matrices=matrices, labels=self._labels))
