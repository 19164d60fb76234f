"""Losses that are sums over pixels: cross-entropy, Dice and focal loss. See the package for the shapes."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.constants import IGNORE_INDEX


class PixelLoss(nn.Module):
    """Base class of the losses.

    Args:
        change_weight: Weight of changed pixels relative to unchanged ones; has no effect unless the loss is `weighted`.
        ignore_index: Value of the target for pixels that are left out.

    Attributes:
        weighted: Whether `change_weight` has an effect.
    """

    weighted: ClassVar[bool] = True

    def __init__(self, change_weight: float = 1.0, ignore_index: int = IGNORE_INDEX) -> None:
        super().__init__()
        self.change_weight, self.ignore_index = change_weight, ignore_index

    def _mask(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the valid pixels, and the target with 0 in place of ignored ones."""
        valid = target != self.ignore_index
        return valid.float(), target * valid

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"change_weight={self.change_weight:g}, ignore_index={self.ignore_index}"


class BCELoss(PixelLoss):
    """Binary cross-entropy for one logit, cross-entropy for more; the weighted mean over pixels."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, see the package for the shapes."""
        valid, target = self._mask(target)
        if logits.shape[1] == 1:
            weight = torch.full((), self.change_weight, device=logits.device)
            x, y = logits[:, 0].float(), target.float()
            total = F.binary_cross_entropy_with_logits(x, y, valid, pos_weight=weight, reduction="sum")
            return total / valid.sum().clamp_min(1)
        weights = valid * torch.where(target > 0, self.change_weight, 1.0)
        total = (F.cross_entropy(logits.float(), target, reduction="none") * weights).sum()
        count = weights.sum()
        return total / torch.where(count > 0, count, 1.0)


class BalancedBCELoss(PixelLoss):
    """Mean cross-entropy of changed pixels times 0.25, plus that of unchanged ones times 0.75 (Ding et al., SCanNet, TGRS 2024).

    Binary cross-entropy for one logit. `change_weight` has no effect.
    """

    weighted = False

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, see the package for the shapes."""
        valid, target = self._mask(target)
        if logits.shape[1] == 1:
            each = F.binary_cross_entropy_with_logits(logits[:, 0].float(), target.float(), reduction="none")
        else:
            each = F.cross_entropy(logits.float(), target, reduction="none")
        changed, unchanged = valid * (target > 0), valid * (target == 0)
        return 0.25 * _mean(each, changed) + 0.75 * _mean(each, unchanged)


class DiceLoss(PixelLoss):
    """One minus the soft Dice coefficient over the whole batch (Milletari et al., 3DV 2016, without squares).

    For more than two logits, the mean over all classes but 0. `change_weight` has no effect.

    Args:
        change_weight: Unused.
        ignore_index: Value of the target for pixels that are left out.
        smooth: Added to numerator and denominator.
    """

    weighted = False

    def __init__(self, change_weight: float = 1.0, ignore_index: int = IGNORE_INDEX, smooth: float = 1.0) -> None:
        super().__init__(change_weight, ignore_index)
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, see the package for the shapes."""
        valid, target = self._mask(target)
        if logits.shape[1] <= 2:
            return self._dice(change_probability(logits) * valid, target > 0)
        each = [self._dice(p * valid, target == index) for index, p in enumerate(logits.float().softmax(1).unbind(1)) if index]
        return torch.stack(each).mean()

    def _dice(self, probability: Tensor, truth: Tensor) -> Tensor:
        shared, total = (probability * truth).sum(), probability.sum() + truth.sum()
        return 1 - (2 * shared + self.smooth) / (total + self.smooth)


class FocalLoss(PixelLoss):
    """Cross-entropy of each pixel times (1 - p) ** gamma, p being the probability of its class (Lin et al., ICCV 2017).

    Args:
        change_weight: Weight of changed pixels.
        ignore_index: Value of the target for pixels that are left out.
        gamma: Exponent; 0 gives the cross-entropy.
    """

    def __init__(self, change_weight: float = 1.0, ignore_index: int = IGNORE_INDEX, gamma: float = 2.0) -> None:
        super().__init__(change_weight, ignore_index)
        self.gamma = gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, see the package for the shapes."""
        valid, target = self._mask(target)
        changed = target > 0
        if logits.shape[1] <= 2:
            probability = change_probability(logits)
            right = torch.where(changed, probability, 1 - probability)
        else:
            right = logits.float().softmax(1).gather(1, target[:, None])[:, 0]
        right = right.clamp_min(1e-7)
        weight = valid * torch.where(changed, self.change_weight, 1.0)
        return (weight * (1 - right) ** self.gamma * -right.log()).sum() / valid.sum().clamp_min(1)


def change_probability(logits: Tensor) -> Tensor:
    """Return the probability of change (B, H, W) in float32: a sigmoid of one logit, one minus the softmax of class 0 of more."""
    logits = logits.float()
    return logits[:, 0].sigmoid() if logits.shape[1] == 1 else 1 - logits.softmax(1)[:, 0]


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean; 0 if all weights are 0."""
    return (values * weights).sum() / weights.sum().clamp_min(1)
