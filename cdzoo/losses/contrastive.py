"""Contrastive loss of distances between the features of two dates."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from cdzoo.constants import IGNORE_INDEX
from cdzoo.losses.pixel import PixelLoss

_LARGEST_LOGIT = 10.0  # a distance of 22,000, whose square does not overflow


class ContrastiveLoss(PixelLoss):
    """Batch-balanced contrastive loss of STANet (Chen and Shi, Remote Sensing 2020), for the logits of the head `distance`.

    d is the exponential of the logit of change, that is, the distance of the head, or the odds of change for other heads. The
    loss is the mean of d^2 over unchanged pixels plus the mean of max(0, m - d)^2 over changed pixels of the batch.

    Args:
        change_weight: Weight of changed pixels.
        ignore_index: Value of the target for pixels that are left out.
        margin: Distance m beyond which changed pixels add nothing.
    """

    def __init__(self, change_weight: float = 1.0, ignore_index: int = IGNORE_INDEX, margin: float = 2.0) -> None:
        super().__init__(change_weight, ignore_index)
        self.margin = margin

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, see the package for the shapes."""
        valid, target = self._mask(target)
        logits = logits.float()
        logit = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1:].logsumexp(1) - logits[:, 0]
        distance = logit.clamp_max(_LARGEST_LOGIT).exp()
        changed = valid * (target > 0)
        same = valid - changed
        attract = (same * distance.square()).sum() / (same.sum() + 1e-4)
        repel = (changed * F.relu(self.margin - distance).square()).sum() / (changed.sum() + 1e-4)
        return attract + self.change_weight * repel
