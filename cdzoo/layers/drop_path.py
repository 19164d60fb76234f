"""Stochastic depth: the layer, its linear decay rule, and validation of the arguments."""

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
    """
    if rate == 0:
        return nn.Identity()
    from timm.layers import DropPath  # imported here because timm takes seconds to import

    return DropPath(rate)


def drop_path_rates(rate: float, depths: Sequence[int]) -> list[list[float]]:
    """Return the drop rate of each block, one list per stage; rates increase linearly from 0 to `rate`.

    Args:
        rate: Drop rate of the last block.
        depths: Number of blocks per stage.
    """
    total = sum(depths)
    rates = iter([rate * i / max(1, total - 1) for i in range(total)])
    return [list(islice(rates, depth)) for depth in depths]


def check_stages(name: str, depths: Sequence[int], drop_path: float) -> None:
    """Validate the depths and the stochastic depth rate of a backbone.

    Args:
        name: Registered name of the backbone, used in messages.
        depths: Number of blocks per stage.
        drop_path: Stochastic depth rate of the last block.

    Raises:
        ConfigError: `depths` is empty or has values below 1, or `drop_path` is not in [0, 1).
    """
    if not depths or any(depth < 1 for depth in depths):
        raise ConfigError(f"backbone {name}: depths must be positive integers, one per stage, got {tuple(depths)}")
    if not 0 <= drop_path < 1:
        raise ConfigError(f"backbone {name}: drop_path must be in [0, 1), got {drop_path}")
