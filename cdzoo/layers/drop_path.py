"""Stochastic depth: the layer and its linear decay rule."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from torch import nn

from cdzoo.errors import ConfigError


def drop_path(rate: float) -> nn.Module:
    """Return a layer that drops a residual branch per sample during training.

    Source: G. Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016.

    Args:
        rate: Drop probability; `nn.Identity` is returned for 0.

    Raises:
        ConfigError: The rate is not in [0, 1).
    """
    check_drop_path(rate)
    if rate == 0:
        return nn.Identity()
    from timm.layers import DropPath  # imported here because timm takes seconds to import

    return DropPath(rate)


def check_drop_path(rate: float) -> None:
    """Raise `ConfigError` unless a stochastic depth rate is in [0, 1)."""
    if not 0 <= rate < 1:
        raise ConfigError(f"drop_path must be in [0, 1), got {rate}")


def drop_path_rates(rate: float, depths: Sequence[int]) -> list[list[float]]:
    """Return the drop rate of each block, one list per stage; rates increase linearly from 0 to `rate`.

    Args:
        rate: Drop rate of the last block.
        depths: Number of blocks per stage.
    """
    total = sum(depths)
    rates = iter([rate * i / max(1, total - 1) for i in range(total)])
    return [list(islice(rates, depth)) for depth in depths]
