"""Exchanges of features between two dates inside a backbone: `channel`, `spatial`, and `add_exchanges`.

Any backbone whose levels name their stages takes them by name: `backbone_kwargs={"exchange": [None, "spatial", "channel"]}`.

Source: S. Fang, K. Li, Z. Li, "Changer: Feature Interaction is What You Need for Change Detection", IEEE TGRS 61 (2023), arXiv
2209.08290.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cdzoo.components import Backbone, Exchange
from cdzoo.errors import ConfigError
from cdzoo.registry import EXCHANGES, register_exchange


class AlternateExchange(Exchange):
    """Swaps the entries 0, 2, 4, ... along one axis between two dates; without parameters.

    Attributes:
        axis: Axis of the maps (B, C, h, w).
    """

    axis: int

    def forward(self, x: Tensor, num_dates: int) -> Tensor:
        """Exchange the features of two dates, stacked along the batch dimension: (2 B, C, h, w), same shape.

        Raises:
            ConfigError: The backbone did not encode two dates together.
        """
        if num_dates != 2:
            raise ConfigError(
                f"{type(self).__name__} swaps features of two dates, but the backbone encodes {num_dates} at once: use "
                "siamese=True and a fusion other than early, or remove 'exchange' from backbone_kwargs"
            )
        shape = [1] * x.ndim
        shape[self.axis] = -1
        swapped = (torch.arange(x.shape[self.axis], device=x.device) % 2 == 0).view(shape)
        batch = x.shape[0] // 2
        x1, x2 = x[:batch], x[batch:]  # `chunk` would fix the batch of an exported program
        return torch.cat([torch.where(swapped, x2, x1), torch.where(swapped, x1, x2)])


@register_exchange("channel")
class ChannelExchange(AlternateExchange):
    """Swaps every second channel between two dates, from the first on."""

    axis = 1


@register_exchange("spatial")
class SpatialExchange(AlternateExchange):
    """Swaps every second column of the maps between two dates, from the first on."""

    axis = 3


def add_exchanges(backbone: Backbone, names: Sequence[str | None]) -> None:
    """Add exchanges to the stages of a backbone.

    Args:
        backbone: Receives the exchanges.
        names: Registered name of the exchange after the stage of each level; None for no exchange.

    Raises:
        ConfigError: There is not one entry per level, or the backbone does not name its stages.
        UnknownNameError: An exchange is not registered.
    """
    levels = len(backbone.out_channels)
    if isinstance(names, str) or not isinstance(names, Sequence) or len(names) != levels:
        raise ConfigError(
            f"backbone {type(backbone).__name__}: exchange must be a list of {levels} entries, one per level, each null or "
            f"one of {', '.join(EXCHANGES)}, got {names!r}"
        )
    for level, name in enumerate(names):
        if name is not None:
            backbone.add_exchange(EXCHANGES.get(str(name))(), levels=[level])
