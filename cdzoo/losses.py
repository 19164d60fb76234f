"""Losses of change logits: cross-entropy, Dice, focal and Lovasz, alone or as a weighted sum (`"bce+0.5*dice"`).

All of them take logits (B, K, H, W) and a target (B, H, W) with `ignore_index` 255, compute in float32, and are 0 if every pixel
is ignored. Pixels are masked by multiplication, since boolean indexing is slower and breaks the graphs of `torch.compile`.
"""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.constants import IGNORE_INDEX
from cdzoo.errors import ConfigError
from cdzoo.names import suggest


class _ChangeLoss(nn.Module):
    """Base class of losses.

    Args:
        change_weight: Weight of changed pixels relative to unchanged ones.
        ignore_index: Value of ignored pixels in the target.
    """

    def __init__(self, change_weight: float = 1.0, ignore_index: int = IGNORE_INDEX) -> None:
        super().__init__()
        self.change_weight, self.ignore_index = change_weight, ignore_index

    def _change(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the probability of change, the truth (0 or 1) and the validity (0 or 1) of each pixel, (B, H, W)."""
        logits = logits.float()
        probability = logits[:, 0].sigmoid() if logits.shape[1] == 1 else 1 - logits.softmax(1)[:, 0]
        valid = (target != self.ignore_index).float()
        return probability, (target > 0).float() * valid, valid


class BCELoss(_ChangeLoss):
    """Binary cross-entropy with logits for one class, cross-entropy for more; the mean over valid pixels."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits (B, K, H, W) against a target (B, H, W) int64 in {0..K-1} (K = 1: {0, 1})."""
        logits = logits.float()
        valid = target != self.ignore_index
        truth = torch.where(valid, target, 0)
        if logits.shape[1] == 1:
            weight = logits.new_tensor(self.change_weight)
            each = F.binary_cross_entropy_with_logits(logits[:, 0], truth.float(), pos_weight=weight, reduction="none")
            return (each * valid).sum() / valid.sum().clamp_min(1)
        weight = torch.ones(logits.shape[1], device=logits.device)
        weight[1:] = self.change_weight
        each = F.cross_entropy(logits, truth, weight=weight, reduction="none")
        return (each * valid).sum() / (weight[truth] * valid).sum().clamp_min(1e-12)


class DiceLoss(_ChangeLoss):
    """One minus the soft Dice coefficient of change over the batch (Milletari et al., 3DV 2016, without squares).

    Args:
        change_weight: Not used.
        ignore_index: Value of ignored pixels in the target.
        smooth: Added to numerator and denominator.
    """

    def __init__(self, change_weight: float = 1.0, ignore_index: int = IGNORE_INDEX, smooth: float = 1.0) -> None:
        super().__init__(change_weight, ignore_index)
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits (B, K, H, W) against a target (B, H, W)."""
        probability, truth, valid = self._change(logits, target)
        shared = (probability * truth).sum()
        return 1 - (2 * shared + self.smooth) / ((probability * valid).sum() + truth.sum() + self.smooth)


class FocalLoss(_ChangeLoss):
    """Cross-entropy of each pixel times (1 - p) ** gamma, where p is the probability of its class (Lin et al., ICCV 2017).

    Args:
        change_weight: Weight of changed pixels relative to unchanged ones.
        ignore_index: Value of ignored pixels in the target.
        gamma: Focusing exponent; 0 is cross-entropy.
    """

    def __init__(self, change_weight: float = 1.0, ignore_index: int = IGNORE_INDEX, gamma: float = 2.0) -> None:
        super().__init__(change_weight, ignore_index)
        self.gamma = gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits (B, K, H, W) against a target (B, H, W)."""
        probability, truth, valid = self._change(logits, target)
        correct = torch.where(truth > 0, probability, 1 - probability).clamp_min(1e-7)
        weight = torch.where(truth > 0, self.change_weight, 1.0) * valid
        return (weight * (1 - correct) ** self.gamma * -correct.log()).sum() / valid.sum().clamp_min(1)


class LovaszLoss(_ChangeLoss):
    """Lovasz extension of the Jaccard loss over the batch (Berman et al., CVPR 2018).

    Lovasz hinge for one class; Lovasz softmax for more, averaged over the classes that are present. `change_weight` is not used.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits (B, K, H, W) against a target (B, H, W)."""
        logits = logits.float()
        valid = (target != self.ignore_index).float().flatten()
        if logits.shape[1] == 1:
            truth = (target > 0).float().flatten() * valid
            return _lovasz(F.relu(1 - logits[:, 0].flatten() * (2 * truth - 1)), truth, valid)
        probability = logits.softmax(1).movedim(1, -1).flatten(0, -2)
        losses, present = [], []
        for index in range(logits.shape[1]):
            truth = (target == index).float().flatten() * valid
            losses.append(_lovasz((truth - probability[:, index]).abs(), truth, valid))
            present.append((truth.sum() > 0).float())
        weights = torch.stack(present)
        return (torch.stack(losses) * weights).sum() / weights.sum().clamp_min(1)


LOSSES: dict[str, type[_ChangeLoss]] = {
    "bce": BCELoss,
    "ce": BCELoss,
    "dice": DiceLoss,
    "focal": FocalLoss,
    "lovasz": LovaszLoss,
}


class WeightedSum(nn.Module):
    """Sum of losses with factors.

    Args:
        terms: Factors and losses.
    """

    def __init__(self, terms: list[tuple[float, nn.Module]]) -> None:
        super().__init__()
        self.factors = [factor for factor, _ in terms]
        self.losses = nn.ModuleList(loss for _, loss in terms)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the sum of the losses of logits (B, K, H, W) against a target (B, H, W)."""
        terms = [factor * loss(logits, target) for factor, loss in zip(self.factors, self.losses, strict=True)]
        return torch.stack(terms).sum()


def create_loss(text: str, change_weight: float = 1.0) -> nn.Module:
    """Create a loss from its name, or a sum of losses with factors: `"bce"`, `"bce+dice"`, `"ce+0.75*lovasz"`.

    Args:
        text: Names of `LOSSES` with optional factors.
        change_weight: Weight of changed pixels relative to unchanged ones.

    Raises:
        ConfigError: A name is unknown, or a factor is not positive.
    """
    terms: list[tuple[float, nn.Module]] = []
    for term in text.replace(" ", "").split("+"):
        match = re.fullmatch(r"(?:(\d*\.?\d+)\*)?(\w+)", term)
        if not match:
            raise ConfigError(f"loss '{text}': '{term}' is not a loss; write names with factors, such as bce+0.5*dice")
        if match[2] not in LOSSES:
            raise ConfigError(f"loss '{text}': unknown loss '{match[2]}'.{suggest(match[2], LOSSES)} Losses: {', '.join(LOSSES)}")
        factor = float(match[1] or 1)
        if factor <= 0:
            raise ConfigError(f"loss '{text}': the factor of {match[2]} must be positive")
        terms.append((factor, LOSSES[match[2]](change_weight)))
    return WeightedSum(terms)


def _lovasz(errors: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Return the Lovasz extension; ignored pixels have no error and are sorted last, where they change nothing."""
    order = (errors * valid - (1 - valid)).argsort(descending=True)
    errors, truth, valid = (errors * valid)[order], truth[order], valid[order]
    intersection = truth.sum() - truth.cumsum(0)
    union = truth.sum() + ((1 - truth) * valid).cumsum(0)
    jaccard = 1 - intersection / union.clamp_min(1e-12)
    steps = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return (errors * steps).sum()
