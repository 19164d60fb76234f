"""Losses for the logits of change: cross-entropy, Dice, focal, Lovasz and contrastive, alone or as a sum (`"bce+0.5*dice"`).

Each loss takes logits (B, K, H, W) and a target (B, H, W) int64 in {0..K-1} (for K = 1 in {0, 1}), computes in float32, and is 0
if all pixels are ignored. Ignored pixels are masked by a product: an index would copy the maps and wait for the device.
"""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.constants import IGNORE_INDEX
from cdzoo.errors import ConfigError
from cdzoo.names import check_known

_LARGEST_LOGIT = 10.0  # a distance of 22,000, whose square does not overflow


class PixelLoss(nn.Module):
    """Base class of the losses.

    Args:
        change_weight: Weight of changed pixels relative to unchanged ones; has no effect on `DiceLoss` and `LovaszLoss`.
        ignore_index: Value of the target for pixels that are left out.
    """

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
        """Return the loss, see the module's docstring for the shapes."""
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


class DiceLoss(PixelLoss):
    """One minus the soft Dice coefficient of change over the whole batch (Milletari et al., 3DV 2016, without squares).

    Args:
        change_weight: Unused.
        ignore_index: Value of the target for pixels that are left out.
        smooth: Added to numerator and denominator.
    """

    def __init__(self, change_weight: float = 1.0, ignore_index: int = IGNORE_INDEX, smooth: float = 1.0) -> None:
        super().__init__(change_weight, ignore_index)
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, see the module's docstring for the shapes."""
        valid, target = self._mask(target)
        probability, changed = change_probability(logits) * valid, (target > 0).float()
        shared = (probability * changed).sum()
        return 1 - (2 * shared + self.smooth) / (probability.sum() + changed.sum() + self.smooth)


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
        """Return the loss, see the module's docstring for the shapes."""
        valid, target = self._mask(target)
        probability, changed = change_probability(logits), target > 0
        right = torch.where(changed, probability, 1 - probability).clamp_min(1e-7)
        weight = valid * torch.where(changed, self.change_weight, 1.0)
        return (weight * (1 - right) ** self.gamma * -right.log()).sum() / valid.sum().clamp_min(1)


class LovaszLoss(PixelLoss):
    """Lovasz extension of the Jaccard loss over the whole batch (Berman et al., CVPR 2018).

    The hinge of the logit for one class; for more, Lovasz-softmax averaged over the classes that are present.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss, see the module's docstring for the shapes."""
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
        """Return the loss, see the module's docstring for the shapes."""
        valid, target = self._mask(target)
        logits = logits.float()
        logit = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1:].logsumexp(1) - logits[:, 0]
        distance = logit.clamp_max(_LARGEST_LOGIT).exp()
        changed = valid * (target > 0)
        same = valid - changed
        attract = (same * distance.square()).sum() / (same.sum() + 1e-4)
        repel = (changed * F.relu(self.margin - distance).square()).sum() / (changed.sum() + 1e-4)
        return attract + self.change_weight * repel


LOSSES: dict[str, type[PixelLoss]] = {
    "bce": BCELoss,
    "bcl": ContrastiveLoss,
    "ce": BCELoss,
    "dice": DiceLoss,
    "focal": FocalLoss,
    "lovasz": LovaszLoss,
}


class WeightedSum(nn.Module):
    """Sum of losses with factors."""

    def __init__(self, factors: list[float], losses: list[PixelLoss]) -> None:
        super().__init__()
        self.factors, self.losses = factors, nn.ModuleList(losses)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the sum, see the module's docstring for the shapes."""
        return torch.stack([f * loss(logits, target) for f, loss in zip(self.factors, self.losses, strict=True)]).sum()


def create_loss(text: str, change_weight: float = 1.0, ignore_index: int = IGNORE_INDEX) -> nn.Module:
    """Return the loss that a text describes: `"bce"`, `"bce+dice"`, `"ce+0.75*lovasz"`.

    Args:
        text: Names of `LOSSES` with optional factors, joined by `+`.
        change_weight: Weight of changed pixels.
        ignore_index: Value of the target for pixels that are left out.

    Raises:
        ConfigError: A name is unknown or a factor is not a positive number.
    """
    factors, losses = [], []
    for term in text.replace(" ", "").split("+"):
        match = re.fullmatch(r"(?:(\d*\.?\d+)\*)?(\w+)", term)
        if not match:
            raise ConfigError(f"loss '{text}': '{term}' is not a loss; write names with factors, such as bce+0.5*dice")
        factor, name = float(match[1] or 1), match[2]
        check_known(f"loss '{text}': unknown loss", name, LOSSES)
        if factor <= 0:
            raise ConfigError(f"loss '{text}': the factor of {name} must be positive")
        factors.append(factor)
        losses.append(LOSSES[name](change_weight, ignore_index))
    return WeightedSum(factors, losses)


def change_probability(logits: Tensor) -> Tensor:
    """Return the probability of change (B, H, W) in float32: a sigmoid of one logit, one minus the softmax of class 0 of more."""
    logits = logits.float()
    return logits[:, 0].sigmoid() if logits.shape[1] == 1 else 1 - logits.softmax(1)[:, 0]


def _lovasz(errors: Tensor, truth: Tensor) -> Tensor:
    errors, order = errors.sort(descending=True)
    truth = truth[order]
    intersection = truth.sum() - truth.cumsum(0)
    union = truth.sum() + (1 - truth).cumsum(0)
    jaccard = 1 - intersection / union
    steps = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return (errors * steps).sum()
