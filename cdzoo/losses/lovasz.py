"""Lovasz losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cdzoo.losses.pixel import PixelLoss


class LovaszLoss(PixelLoss):
    """Lovasz extension of the Jaccard loss over the whole batch (Berman et al., CVPR 2018).

    The hinge of the logit for one class; for more, Lovasz-softmax averaged over the classes that are present. `change_weight`
    has no effect.
    """

    weighted = False

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, see the package for the shapes."""
        valid, target = self._mask(target)
        logits = logits.float()
        # The error of ignored pixels is 0: they come last in the order and add nothing.
        if logits.shape[1] == 1:
            truth = target.float()
            return _lovasz((F.relu(1 - logits[:, 0] * (2 * truth - 1)) * valid).flatten(), truth.flatten())
        total, present = valid.new_zeros(()), valid.new_zeros(())
        for index, probability in enumerate(logits.softmax(1).unbind(1)):
            truth = (target == index) * valid
            has_pixels = truth.any()
            total = total + has_pixels * _lovasz(((truth - probability).abs() * valid).flatten(), truth.flatten())
            present = present + has_pixels
        return total / present.clamp_min(1)


def _lovasz(errors: Tensor, truth: Tensor) -> Tensor:
    errors, order = errors.sort(descending=True)
    truth = truth[order]
    intersection = truth.sum() - truth.cumsum(0)
    union = truth.sum() + (1 - truth).cumsum(0)
    jaccard = 1 - intersection / union
    steps = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return (errors * steps).sum()
