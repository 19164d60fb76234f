"""The Lightning module: loss, optimizer and scores around any model that takes two dates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics.classification import BinaryConfusionMatrix

from cdzoo.engine.inputs import change_probability, normalize_pair
from cdzoo.errors import TrainingError
from cdzoo.metrics import Confusion
from cdzoo.models.detector import ChangeDetector

Batch = dict[str, Any]


class ChangeModule(L.LightningModule):
    """Trains a `ChangeDetector` with Adam and a polynomial schedule, as the GLMamba paper does.

    The loss is binary cross-entropy with logits for one class, cross-entropy for more.

    Args:
        model: The detector.
        lr: Learning rate at the start.
        power: Exponent of the schedule lr * (1 - step / steps) ** power.
        threshold: Probability from which a pixel counts as changed.
        on_validation: Called with the pooled confusion after each validation.
    """

    def __init__(
        self,
        model: ChangeDetector,
        lr: float,
        power: float = 0.9,
        threshold: float = 0.5,
        on_validation: Callable[[Confusion], None] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.lr = lr
        self.power = power
        self.threshold = threshold
        self.on_validation = on_validation
        self.matrix = BinaryConfusionMatrix(ignore_index=255)
        self.confusion: Confusion | None = None

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of one batch."""
        logits = self._logits(batch)
        loss = change_loss(logits, batch["mask"])
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss.item()} at step {self.global_step}; lower --lr, or check the input values"
            )
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Count the pixels of one batch."""
        probability = change_probability(self._logits(batch))
        self.matrix.update((probability >= self.threshold).int(), batch["mask"])

    def on_validation_epoch_end(self) -> None:
        """Pool the counts and show F1."""
        self.confusion = Confusion.from_matrix(self.matrix.compute())
        self.matrix.reset()
        self.log_dict({f"val_{name}": value for name, value in self.confusion.scores().items()})
        self.log("F1", self.confusion.f1, prog_bar=True, logger=False)
        if self.on_validation is not None and not self.trainer.sanity_checking:
            self.on_validation(self.confusion)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return Adam under the polynomial schedule, stepped per batch."""
        optimizer = torch.optim.Adam(self.model.parameters(), lr=self.lr)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=steps, power=self.power)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _logits(self, batch: Batch) -> Tensor:
        logits: Tensor = self.model(*normalize_pair(self.model.config, batch["image_a"], batch["image_b"]))
        return logits


def change_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Mean loss of logits (B, K, H, W) against masks (B, H, W) in {0..K-1} (K = 1: {0, 1}); 255 is ignored."""
    if logits.shape[1] > 1:
        return F.cross_entropy(logits, mask, ignore_index=255)
    valid = mask != 255
    return F.binary_cross_entropy_with_logits(logits[:, 0][valid], mask[valid].float())
