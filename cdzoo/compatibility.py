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


def check_several_levels(component: str, in_channels: Sequence[int]) -> None:
    """Raise `ConfigError` unless there are at least two input levels."""
    if len(in_channels) < 2:
        raise ConfigError(f"{component} needs at least two levels, got one; use decoder=None")


def level_widths(component: str, in_channels: Sequence[int], widths: Sequence[int] | None, multiple: int = 1) -> list[int]:
    """Return the widths of all levels except the coarsest, which are the input channels by default.

    Raises:
        ConfigError: There is only one level, or not one positive multiple of `multiple` per level except the coarsest.
    """
    check_several_levels(component, in_channels)
    widths = list(in_channels[:-1] if widths is None else widths)
    if len(widths) != len(in_channels) - 1 or any(width < 1 or width % multiple for width in widths):
        raise ConfigError(
            f"{component}: {len(in_channels) - 1} widths are required, one per level except the coarsest, each a positive "
            f'multiple of {multiple}, got {tuple(widths)}; pass decoder_kwargs={{"widths": [...]}}'
        )
    return widths


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
