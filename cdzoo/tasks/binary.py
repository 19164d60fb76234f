"""`BinaryTask`: change or no change, from one or two logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cdzoo.errors import ConfigError
from cdzoo.losses import change_probability, create_loss
from cdzoo.metrics import ChangeCounts, Confusion, Scores
from cdzoo.tasks.base import Output, Target, Task
from cdzoo.tasks.palette import CHANGE, NO_CHANGE


class BinaryTask(Task):
    """Change detection with two classes: "no change" (0) and "change" (1).

    One logit goes through a sigmoid; two go through a softmax whose class 0 is "no change". A pixel is changed if its probability
    reaches the threshold. The target is `target["mask"]` (B, H, W).
    """

    name = "binary"
    class_names = ("no change", "change")
    colors = (NO_CHANGE, CHANGE)

    def __init__(self, class_names: Sequence[str] = ()) -> None:
        if class_names and len(class_names) != 2:
            raise ConfigError(f"the task 'binary' has two classes, class_names has {len(class_names)}: {tuple(class_names)}")
        super().__init__(class_names)

    @property
    def default_num_classes(self) -> int:
        """One logit."""
        return 1

    def check(self, num_classes: int) -> None:
        """Raise `ConfigError` for more than two logits."""
        if num_classes > 2:
            raise ConfigError(
                f"num_classes={num_classes} needs a task of several classes; the task 'binary' supports 1 logit (sigmoid) or "
                "2 (softmax, class 0 is no change)"
            )

    def create_loss(self, loss: str = "bce", change_weight: float = 1.0) -> nn.Module:
        """Return the sum of losses named by `loss`, see `cdzoo.losses`."""
        return MaskLoss(create_loss(loss, change_weight))

    def probabilities(self, output: Output) -> Tensor:
        """Return the probability of change (B, H, W) in [0, 1], float32."""
        return change_probability(main_logits(output))

    def predict(self, probability: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.uint8]:
        """Return 1 where the probability reaches the threshold, else 0."""
        return (probability >= threshold).astype(np.uint8)

    def classes(self, target: Target) -> Tensor:
        """Return the mask."""
        return target["mask"]

    def create_counter(self, threshold: float, device: torch.device | str = "cpu") -> ChangeCounts:
        """Return pixel counts at the threshold and at a sweep of others."""
        return ChangeCounts(threshold, device)

    def update(self, counter: ChangeCounts, probabilities: Tensor, target: Target) -> list[Confusion]:
        """Count the pixels of a batch; return the confusion matrix of each sample."""
        return counter.update(probabilities, target["mask"])

    def warning(self, scores: Scores) -> str:
        """Return a warning if no pixel is predicted as changed."""
        return nothing_predicted(scores, "changed")


class MaskLoss(nn.Module):
    """Applies a loss to the logits of change and `target["mask"]`."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, output: Output, target: Target) -> Tensor:
        """Return the loss of an output of the model."""
        return self.loss(main_logits(output), target["mask"])


def main_logits(output: Output) -> Tensor:
    """Return the logits of change of a model, which may have further outputs of its own."""
    return output if isinstance(output, Tensor) else output["change"]


def nothing_predicted(scores: Scores, what: str) -> str:
    """Return a warning if no pixel is predicted as changed, or as what else the binary view counts; else an empty string."""
    if scores.tp + scores.fp:
        return ""
    return (
        f"no pixel of the validation samples is predicted as {what} (all probabilities are below {scores.threshold:g}). "
        "This is common early in training; if it persists, the learning rate is too high or too low, such pixels are too rare "
        "for the loss (try loss=bce+dice or change_weight=5), or the masks are empty (see cdzoo data check)"
    )
