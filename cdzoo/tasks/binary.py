"""`BinaryTask`: change or no change, from one or two logits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cdzoo.errors import ConfigError
from cdzoo.losses import create_loss
from cdzoo.metrics import ChangeCounts
from cdzoo.tasks.base import Output, Task


class BinaryTask(Task):
    """Change detection with two classes: "no change" (0) and "change" (1).

    One logit goes through a sigmoid; two go through a softmax whose class 0 is "no change". A pixel is changed if its probability
    reaches the threshold.
    """

    name = "binary"
    class_names = ("no change", "change")
    colors = ((0, 0, 0), (255, 60, 60))

    def check(self, num_classes: int) -> None:
        """Raise `ConfigError` for more than two logits."""
        if num_classes > 2:
            raise ConfigError(
                f"num_classes={num_classes} needs a task of several classes; the task 'binary' supports 1 logit (sigmoid) or "
                "2 (softmax, class 0 is no change)"
            )

    def create_loss(self, text: str, change_weight: float = 1.0) -> nn.Module:
        """Return the sum of losses of `text`, see `cdzoo.losses.create_loss`."""
        return _BinaryLoss(create_loss(text, change_weight))

    def probabilities(self, output: Output) -> Tensor:
        """Return the probability of change (B, H, W) in [0, 1], float32."""
        logits = _logits(output).float()
        return logits[:, 0].sigmoid() if logits.shape[1] == 1 else 1 - logits.softmax(1)[:, 0]

    def predict(self, probability: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.uint8]:
        """Return 1 where the probability reaches the threshold, else 0."""
        return (probability >= threshold).astype(np.uint8)

    def create_counter(self, threshold: float, device: torch.device | str = "cpu") -> ChangeCounts:
        """Return pixel counts at the threshold and at a sweep of others."""
        return ChangeCounts(threshold, device)


class _BinaryLoss(nn.Module):
    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, output: Output, target: Mapping[str, Tensor]) -> Tensor:
        return self.loss(_logits(output), target["mask"])


def _logits(output: Output) -> Tensor:
    return output if isinstance(output, Tensor) else output["change"]
