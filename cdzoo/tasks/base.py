"""`Task`: interface that defines the meaning of the outputs of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cdzoo.metrics import Confusion, Scores

Output = Tensor | dict[str, Tensor]
"""Output of a model: logits (B, K, H, W), or one such tensor per branch by name."""
Target = Mapping[str, Tensor]
"""Targets of a batch by name, such as `"mask"` (B, H, W)."""
RGB = tuple[int, int, int]


class Task(ABC):
    """Meaning of the outputs of a model: classes, loss, prediction and scores.

    Attributes:
        name: Name in configs and on the command line.
        class_names: Name of each class, "no change" first.
        colors: RGB color of each class in pictures and maps.
    """

    name: str
    class_names: tuple[str, ...]
    colors: tuple[RGB, ...]

    @abstractmethod
    def check(self, num_classes: int) -> None:
        """Raise `ConfigError` unless the task supports this number of logits."""

    @abstractmethod
    def create_loss(self, loss: str = "bce", change_weight: float = 1.0) -> nn.Module:
        """Return a module that maps an output and the targets of a batch to the loss.

        Args:
            loss: Sum of losses, such as `"bce+0.5*dice"`, see `cdzoo.losses`.
            change_weight: Weight of changed pixels.

        Raises:
            ConfigError: A loss is unknown.
        """

    @abstractmethod
    def probabilities(self, output: Output) -> Tensor:
        """Return the probabilities (B, ..., H, W) in [0, 1], which windows and test-time augmentation average.

        For binary change detection: the probability (B, H, W) that each pixel changed.
        """

    @abstractmethod
    def predict(self, probability: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.uint8]:
        """Return the class of each pixel given its probabilities."""

    @abstractmethod
    def classes(self, target: Target) -> Tensor:
        """Return the true class of each pixel, 255 for ignored ones."""

    @abstractmethod
    def create_counter(self, threshold: float, device: torch.device | str = "cpu") -> Any:
        """Return an empty accumulator of the scores of a split.

        Its `summary()` returns the `Scores` over all samples and processes, independent of batch order.
        """

    @abstractmethod
    def update(self, counter: Any, probabilities: Tensor, target: Target) -> Sequence[Confusion]:
        """Add the pixels of a batch to an accumulator, and return the pixel counts of each sample."""

    def warning(self, scores: Scores) -> str:
        """Return a warning about validation scores, with advice; an empty string if there is none."""
        return ""
