"""Sums of losses, and their names: `"bce+0.5*dice"`."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cdzoo.constants import IGNORE_INDEX
from cdzoo.errors import ConfigError
from cdzoo.losses.contrastive import ContrastiveLoss
from cdzoo.losses.lovasz import LovaszLoss
from cdzoo.losses.pixel import BalancedBCELoss, BCELoss, DiceLoss, FocalLoss, PixelLoss
from cdzoo.names import check_known

LOSSES: dict[str, type[PixelLoss]] = {
    "balanced_bce": BalancedBCELoss,
    "bce": BCELoss,
    "bcl": ContrastiveLoss,
    "ce": BCELoss,
    "dice": DiceLoss,
    "focal": FocalLoss,
    "lovasz": LovaszLoss,
}


class WeightedSum(nn.Module):
    """Sum of losses of the same inputs, with factors."""

    def __init__(self, factors: Sequence[float], losses: Sequence[nn.Module]) -> None:
        super().__init__()
        self.factors, self.losses = list(factors), nn.ModuleList(losses)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the sum; `inputs` are logits and target, or what else the losses take."""
        return torch.stack([f * loss(*inputs) for f, loss in zip(self.factors, self.losses, strict=True)]).sum()


class Term(NamedTuple):
    """One loss of a sum.

    Attributes:
        factor: Factor, positive.
        name: Name of the loss.
        output: Output of the model, or the beginning of the names of several; empty for all.
    """

    factor: float
    name: str
    output: str = ""


def parse_terms(text: str, known: Collection[str]) -> list[Term]:
    """Read a sum of losses, such as `"ce+0.5*lovasz@building"`.

    Args:
        text: Names with optional factors and outputs, joined by `+`.
        known: Names of losses.

    Raises:
        ConfigError: A name is unknown or a factor is not a positive number.
    """
    terms = []
    for term in text.replace(" ", "").split("+"):
        match = re.fullmatch(r"(?:(\d*\.?\d+)\*)?(\w+)(?:@(\w+))?", term)
        if not match:
            raise ConfigError(f"loss '{text}': '{term}' is not a loss; write names with factors, such as bce+0.5*dice")
        factor, name = float(match[1] or 1), match[2]
        check_known(f"loss '{text}': unknown loss", name, known)
        if factor <= 0:
            raise ConfigError(f"loss '{text}': the factor of {name} must be positive")
        terms.append(Term(factor, name, match[3] or ""))
    return terms


def create_loss(text: str, change_weight: float = 1.0, ignore_index: int = IGNORE_INDEX) -> nn.Module:
    """Return the loss of one output that a text describes: `"bce"`, `"bce+dice"`, `"ce+0.75*lovasz"`.

    Args:
        text: Names of `LOSSES` with optional factors, joined by `+`.
        change_weight: Weight of changed pixels.
        ignore_index: Value of the target for pixels that are left out.

    Raises:
        ConfigError: A name is unknown, a factor is not a positive number, or an output is named.
    """
    terms = parse_terms(text, LOSSES)
    if named := next((term.output for term in terms if term.output), None):
        raise ConfigError(f"loss '{text}': there is one output only, so it has no name: remove @{named}")
    return WeightedSum([term.factor for term in terms], [LOSSES[term.name](change_weight, ignore_index) for term in terms])
