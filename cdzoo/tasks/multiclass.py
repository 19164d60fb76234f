"""`MulticlassTask`: one map of several kinds of change."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cdzoo.constants import IGNORE_INDEX, RGB
from cdzoo.errors import ConfigError
from cdzoo.losses import create_loss
from cdzoo.metrics import ClassCounts, Confusion, Scores, class_scores, multiclass_scores
from cdzoo.tasks.base import Output, Target, Task
from cdzoo.tasks.binary import MaskLoss, main_logits, nothing_predicted
from cdzoo.tasks.classes import check_class_names, check_colors, on_array, reaches
from cdzoo.tasks.palette import NO_CHANGE, class_colors


class MulticlassTask(Task):
    """One map of K classes, "no change" (0) and K - 1 kinds of change, from K logits.

    A pixel is changed if 1 - p(no change) reaches the threshold, and has then the kind with the highest probability. The target
    is `target["mask"]` (B, H, W) in {0..K-1}. The dates must not be swapped, because kinds may have a direction. The scores of
    change treat all kinds as one class; further scores are those of `multiclass_scores` and `class_scores`.

    Args:
        class_names: Name of each class, "no change" first.
        colors: Color of each class; distinct ones by default.

    Raises:
        ConfigError: There are less than 2 or more than 255 classes, or names are not unique.
    """

    name = "multiclass"
    swappable = False

    def __init__(self, class_names: Sequence[str] = (), colors: Sequence[RGB] | None = None) -> None:
        check_class_names(self.name, class_names, "the first of which is no change", 2, IGNORE_INDEX)
        super().__init__(class_names)
        self.colors = check_colors(colors or (NO_CHANGE, *class_colors(class_names[1:])), class_names)

    @property
    def probability_names(self) -> tuple[str, ...]:
        """Classes."""
        return self.class_names

    def check(self, num_classes: int) -> None:
        """Raise `ConfigError` unless there is one logit for each class."""
        if num_classes != len(self.class_names):
            raise ConfigError(
                f"num_classes={num_classes} does not suit the {len(self.class_names)} class_names: {', '.join(self.class_names)}"
            )

    def create_loss(self, loss: str = "bce", change_weight: float = 1.0) -> nn.Module:
        """Return the sum of losses named by `loss`, see `cdzoo.losses.create_loss`."""
        return MaskLoss(create_loss(loss, change_weight))

    def probabilities(self, output: Output) -> Tensor:
        """Return the probability of each class (B, K, H, W), float32."""
        return main_logits(output).float().softmax(1)

    def change_probability(self, probability: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return 1 - p(no change)."""
        return 1 - probability[0]

    def predict(self, probability: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.uint8]:
        """Return the class of each pixel (H, W)."""
        return on_array(_compose, probability, threshold)["change"]

    def classes(self, target: Target) -> Tensor:
        """Return the mask."""
        return target["mask"]

    def create_counter(self, threshold: float, device: torch.device | str = "cpu") -> ClassCounts:
        """Return pixel counts of change and a confusion matrix of the classes, `"classes"`."""
        return ClassCounts({"classes": self.class_names}, self._finish, threshold, device)

    def update(self, counter: ClassCounts, probabilities: Tensor, target: Target) -> list[Confusion]:
        """Count the pixels of a batch; return the confusion matrix of change of each sample."""
        mask = target["mask"]
        predicted = _compose(probabilities, counter.change.threshold)["change"]
        counter.add("classes", predicted, mask, mask != IGNORE_INDEX)
        return counter.change.update(1 - probabilities[:, 0], mask)

    def warning(self, scores: Scores) -> str:
        """Return a warning if no pixel is predicted as changed."""
        return nothing_predicted(scores, "changed")

    def _finish(self, scores: Scores) -> Scores:
        matrix = scores.matrices["classes"]
        return dataclasses.replace(scores, further=multiclass_scores(matrix) | class_scores(matrix, self.class_names))


def _compose(probabilities: Tensor, threshold: float) -> dict[str, Tensor]:
    """Return the map of a batch of probabilities (B, K, H, W)."""
    changed = reaches(1 - probabilities[:, 0], threshold)
    return {"change": torch.where(changed, probabilities[:, 1:].argmax(1) + 1, 0)}
