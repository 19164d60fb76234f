"""`linear`: every level to the same number of channels, as the decoder of ChangeFormer begins."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.components import Neck
from cdzoo.errors import ConfigError
from cdzoo.layers import normal_init_
from cdzoo.registry import register_neck


@register_neck("linear")
class Linear(Neck):
    """One linear layer per level, applied to each pixel: C_i channels to `channels`.

    Source: Bandara and Patel, IGARSS 2022, arXiv 2201.01293; after SegFormer (Xie et al., NeurIPS 2021).

    Args:
        in_channels: Channels of each level.
        in_strides: Stride of each level.
        channels: Channels given at every level.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, channels: int = 256) -> None:
        if channels < 1:
            raise ConfigError(f"neck linear: channels must be at least 1, got {channels}")
        super().__init__(in_channels, in_strides, [channels] * len(in_channels))
        self.levels = nn.ModuleList(nn.Linear(c, channels) for c in in_channels)
        normal_init_(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Project the pyramid of one date; sizes stay."""
        return [project(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for project, x in zip(self.levels, features, strict=True)]
