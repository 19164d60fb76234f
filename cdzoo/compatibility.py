"""Checks that consecutive components are compatible, with messages that name both."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from cdzoo.components import Head, PerLevel, PyramidComponent
from cdzoo.errors import ChannelMismatchError, ConfigError


def check_one_level(component: str, in_channels: Sequence[int]) -> int:
    """Return the channels of the only input level of a component.

    Raises:
        ConfigError: There are several levels; the message names components that merge them.
    """
    if len(in_channels) != 1:
        raise ConfigError(
            f"{component} expects one level, but its input has {len(in_channels)} levels with channels {tuple(in_channels)}: "
            'use a decoder that merges them (decoder="unet" or "top_down"), or head="summation", which accepts any number'
        )
    return in_channels[0]


def check_doubling(component: str, in_strides: Sequence[int] | None) -> None:
    """Raise unless each level has twice the stride of the previous one.

    Raises:
        ConfigError: The strides do not double from level to level.
    """
    if in_strides is not None and any(b != 2 * a for a, b in pairwise(in_strides)):
        raise ConfigError(f"{component} requires strides that double from level to level, got {tuple(in_strides)}")


def describe(component: nn.Module) -> str:
    """Return the name of a component in messages: its class, or the class of its levels."""
    if isinstance(component, PerLevel) and component.levels:
        component = component.levels[0]
    return type(component).__name__


def check_fit(
    source: str, channels: Sequence[int], strides: Sequence[int] | None, target: str, component: PyramidComponent | Head
) -> None:
    """Raise unless `component` accepts the pyramid returned by the previous component.

    Args:
        source: Previous component, for the message.
        channels: Channels that it returns.
        strides: Strides that it returns; None if unknown.
        target: Name of `component`, for the message.
        component: Component that receives the pyramid.

    Raises:
        ChannelMismatchError: Channels or strides differ. The message names both sides.
    """
    if tuple(channels) != component.in_channels:
        raise ChannelMismatchError(
            f"{source} returns channels {tuple(channels)}, but {target} expects {component.in_channels}: "
            f"build {target} with in_channels={tuple(channels)}"
        )
    if strides is not None and component.in_strides is not None and tuple(strides) != component.in_strides:
        raise ChannelMismatchError(
            f"{source} returns strides {tuple(strides)}, but {target} expects {component.in_strides}: "
            f"build {target} with in_strides={tuple(strides)}"
        )
