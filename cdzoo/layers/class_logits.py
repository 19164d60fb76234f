"""Logits of several classes from a single logit of change."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def class_logits(change: Tensor, num_classes: int) -> Tensor:
    """Return logits (B, num_classes, h, w) with the same probability of change as one logit (B, 1, h, w).

    Class 0 is "no change"; all kinds of change are equally likely. One class returns the logit itself.
    """
    if num_classes == 1:
        return change
    kinds = num_classes - 1
    return torch.cat([torch.zeros_like(change), *[change - math.log(kinds)] * kinds], dim=1)
