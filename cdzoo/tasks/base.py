"""`Task`: interface that defines the meaning of the outputs of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cdzoo.constants import RGB
from cdzoo.metrics import Confusion, Scores

Output = Tensor | dict[str, Tensor]
"""Output of a model: logits (B, K, H, W), or one such tensor per branch by name."""
Target = Mapping[str, Tensor]
"""Targets of a batch by name, such as `"mask"` (B, H, W)."""


class OutputSpec(NamedTuple):
    """One output of a model.

    Attributes:
        num_classes: Number of logits.
        dates: Dates that a branch computes the output from; None for the main output, from all dates through the fusion.
    """

    num_classes: int
    dates: tuple[int, ...] | None = None


class MapSpec(NamedTuple):
    """Values of a predicted map.

    Attributes:
        class_names: Name of each value, starting with 0.
        colors: RGB color of each value.
    """

    class_names: tuple[str, ...]
    colors: tuple[RGB, ...]


class Task(ABC):
    """Meaning of the outputs of a model: classes, loss, prediction and scores.

    Args:
        class_names: Replaces the names of the classes.

    Attributes:
        name: Name in configs and on the command line.
        class_names: Name of each class, "no change" first if it is one of them.
        colors: RGB color of each class in pictures and maps.
        main_output: Name of the output of the fusion, decoder and head of a model that has several outputs.
        positive: What a pixel is whose value in the main map is not 0: `"change"` or `"building"`.
        swappable: Whether samples may be trained on with their dates reversed, see `swap_dates`.
    """

    name: str
    class_names: tuple[str, ...]
    colors: tuple[RGB, ...]
    main_output: str = "change"
    positive: str = "change"
    swappable: bool = True

    def __init__(self, class_names: Sequence[str] = ()) -> None:
        if class_names:
            self.class_names = tuple(class_names)

    @property
    def default_num_classes(self) -> int:
        """Number of logits of the main output of a model that is given this task."""
        return len(self.class_names)

    @property
    def targets(self) -> dict[str, int]:
        """Number of values of each target, starting with 0; any pixel may have the value 255 (ignored) instead."""
        return {"mask": len(self.class_names)}

    @property
    def maps(self) -> dict[str, MapSpec]:
        """Values of each map of `predict_maps`, the map of `predict` first."""
        return {self.main_output: MapSpec(self.class_names, self.colors)}

    @property
    def has_legend(self) -> bool:
        """Whether there are several maps, or one of more than two values, so that they are shown in the colors of `maps`."""
        main, *further = self.maps.values()
        return bool(further) or len(main.class_names) > 2

    @property
    def probability_names(self) -> tuple[str, ...]:
        """Name of each channel of `probabilities`; empty if they have none, (B, H, W)."""
        return ()

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of the scores beyond those of change, see `Scores.further`."""
        return tuple(getattr(self.create_counter(0.5), "score_names", ()))

    def outputs(self, num_classes: int) -> dict[str, OutputSpec]:
        """Return the outputs of a model by name, in their order, given the number of logits of the main output."""
        return {self.main_output: OutputSpec(num_classes)}

    @abstractmethod
    def check(self, num_classes: int) -> None:
        """Raise `ConfigError` unless the task supports this number of logits of the main output."""

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

    def change_probability(self, probability: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the probability (H, W) that the main map has another value than 0, given the probabilities (..., H, W).

        By default they have no channels, or this probability in the first one.
        """
        return probability if not self.probability_names else probability[0]

    @abstractmethod
    def predict(self, probability: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.uint8]:
        """Return the main map (H, W), the value of each pixel given its probabilities (..., H, W)."""

    def predict_maps(self, probability: npt.NDArray[np.float32], threshold: float) -> dict[str, npt.NDArray[np.uint8]]:
        """Return all maps (H, W) by name, see `maps`."""
        return {next(iter(self.maps)): self.predict(probability, threshold)}

    @property
    def shown_maps(self) -> tuple[str, ...]:
        """Names of the maps that pictures show."""
        return tuple(self.maps)[:1]

    def true_maps(self, target: Target) -> dict[str, Tensor]:
        """Return the true values of maps by name, 255 for ignored pixels; those of `shown_maps` among them."""
        return {next(iter(self.maps)): self.classes(target)}

    def swap_dates(self, target: Target) -> dict[str, Tensor]:
        """Return the targets of a sample whose dates are reversed."""
        return dict(target)

    def swap_probabilities(self, probabilities: Tensor) -> Tensor:
        """Return the probabilities (B, ..., H, W) of the dates in their order, given those of reversed dates."""
        return probabilities

    @abstractmethod
    def classes(self, target: Target) -> Tensor:
        """Return the true value of each pixel in the main map, 255 for ignored ones."""

    @abstractmethod
    def create_counter(self, threshold: float, device: torch.device | str = "cpu") -> Any:
        """Return an empty accumulator of the scores of a split.

        Its `summary()` returns the `Scores` over all samples and processes, independent of batch order.
        """

    @abstractmethod
    def update(self, counter: Any, probabilities: Tensor, target: Target) -> Sequence[Confusion]:
        """Add the pixels of a batch to an accumulator, and return the pixel counts of each sample.

        Args:
            counter: Accumulator.
            probabilities: Output of `probabilities`.
            target: Targets of the batch.

        Returns:
            Counts of changed and unchanged pixels of each sample; of buildings and background for tasks about buildings.
        """

    def warning(self, scores: Scores) -> str:
        """Return a warning about validation scores, with advice; an empty string if there is none."""
        return ""
