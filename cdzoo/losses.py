"""Losses for logits of change: cross-entropy, Dice, focal and Lovasz, alone or added up (`"bce+0.5*dice"`)."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cdzoo.constants import IGNORE_INDEX
from cdzoo.errors import ConfigError
from cdzoo.names import suggest

Loss = Callable[[Tensor, Tensor, float], Tensor]


def cross_entropy(logits: Tensor, mask: Tensor, change_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy with logits for one class, cross-entropy for more; the mean over pixels.

    Args:
        logits: (B, K, H, W).
        mask: (B, H, W) int64 in {0..K-1} (K = 1: {0, 1}); 255 is left out.
        change_weight: Weight of changed pixels; unchanged ones weigh 1.
    """
    if logits.shape[1] > 1:
        weight = torch.full((logits.shape[1],), change_weight, device=logits.device)
        weight[0] = 1
        return F.cross_entropy(logits, mask, weight=weight, ignore_index=IGNORE_INDEX)
    valid = mask != IGNORE_INDEX
    weight = torch.tensor(change_weight, device=logits.device)
    return F.binary_cross_entropy_with_logits(logits[:, 0][valid], mask[valid].float(), pos_weight=weight)


def dice(logits: Tensor, mask: Tensor, change_weight: float = 1.0, smooth: float = 1.0) -> Tensor:
    """One minus the soft Dice coefficient of change over the whole batch (Milletari et al., 3DV 2016, without squares)."""
    probability, truth = _change(logits, mask)
    shared = (probability * truth).sum()
    return 1 - (2 * shared + smooth) / (probability.sum() + truth.sum() + smooth)


def focal(logits: Tensor, mask: Tensor, change_weight: float = 1.0, gamma: float = 2.0) -> Tensor:
    """Cross-entropy of each pixel times (1 - p) ** gamma, p being the probability of its class (Lin et al., ICCV 2017)."""
    probability, truth = _change(logits, mask)
    right = torch.where(truth > 0, probability, 1 - probability).clamp_min(1e-7)
    weight = torch.where(truth > 0, change_weight, 1.0)
    return (weight * (1 - right) ** gamma * -right.log()).mean()


def lovasz(logits: Tensor, mask: Tensor, change_weight: float = 1.0) -> Tensor:
    """Lovasz extension of the Jaccard loss over the whole batch (Berman et al., CVPR 2018).

    The hinge of the logit for one class; for more, Lovasz-softmax averaged over the classes that are present.
    """
    valid = mask != IGNORE_INDEX
    if logits.shape[1] == 1:
        logit, truth = logits[:, 0][valid], mask[valid].float()
        return _lovasz(F.relu(1 - logit * (2 * truth - 1)), truth)
    probability = logits.softmax(1).movedim(1, -1)[valid]
    labels = mask[valid]
    present = [c for c in range(logits.shape[1]) if bool((labels == c).any())]
    if not present:
        return logits.sum() * 0
    return torch.stack([_lovasz((t - probability[:, c]).abs(), t) for c in present for t in [(labels == c).float()]]).mean()


LOSSES: dict[str, Loss] = {"bce": cross_entropy, "ce": cross_entropy, "dice": dice, "focal": focal, "lovasz": lovasz}


def parse_loss(text: str) -> list[tuple[float, Loss]]:
    """Read a sum of losses with factors: `"bce"`, `"bce+dice"`, `"ce+0.75*lovasz"`.

    Raises:
        ConfigError: A name is unknown or a factor is no positive number.
    """
    terms: list[tuple[float, Loss]] = []
    for term in text.replace(" ", "").split("+"):
        match = re.fullmatch(r"(?:(\d*\.?\d+)\*)?(\w+)", term)
        if not match:
            raise ConfigError(f"loss '{text}': '{term}' is no loss; write names with factors, such as bce+0.5*dice")
        if match[2] not in LOSSES:
            raise ConfigError(
                f"loss '{text}': there is no loss '{match[2]}'.{suggest(match[2], LOSSES)} Known: {', '.join(LOSSES)}"
            )
        factor = float(match[1] or 1)
        if factor <= 0:
            raise ConfigError(f"loss '{text}': the factor of {match[2]} must be positive")
        terms.append((factor, LOSSES[match[2]]))
    return terms


def change_loss(logits: Tensor, mask: Tensor, loss: str = "bce", change_weight: float = 1.0) -> Tensor:
    """Return the loss of logits (B, K, H, W) against masks (B, H, W) as the text `loss` says, in float32."""
    logits = logits.float()
    return torch.stack([factor * term(logits, mask, change_weight) for factor, term in parse_loss(loss)]).sum()


def _change(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    valid = mask != IGNORE_INDEX
    probability = logits[:, 0].sigmoid() if logits.shape[1] == 1 else 1 - logits.softmax(1)[:, 0]
    return probability[valid], (mask[valid] > 0).float()


def _lovasz(errors: Tensor, truth: Tensor) -> Tensor:
    order = errors.argsort(descending=True)
    truth = truth[order]
    intersection = truth.sum() - truth.cumsum(0)
    union = truth.sum() + (1 - truth).cumsum(0)
    jaccard = 1 - intersection / union
    steps = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return (errors[order] * steps).sum()


def create_loss(text: str, change_weight: float = 1.0) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the function (logits, target) -> loss of a sum of losses such as `"bce+0.5*dice"`.

    Raises:
        ConfigError: A name is unknown or a factor is not positive.
    """
    parse_loss(text)
    return lambda logits, target: change_loss(logits, target, text, change_weight)
