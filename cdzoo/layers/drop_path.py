"""Stochastic depth."""

from __future__ import annotations

from torch import nn


def drop_path(rate: float) -> nn.Module:
    """Return a layer that leaves out whole samples of a residual branch in training, at this rate (Huang et al., 2016)."""
    if rate == 0:
        return nn.Identity()
    from timm.layers import DropPath  # importing timm takes seconds, and many models have no stochastic depth

    return DropPath(rate)
