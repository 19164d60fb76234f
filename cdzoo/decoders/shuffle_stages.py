"""`shuffle_stages`: stages of ShuffleNet V2 with criss-cross attention after the fusion, the encoder of LightCDNet.

Source: Y. Xing et al., "LightCDNet: Lightweight Change Detection Network Based on VHR Images", IEEE GRSL 20 (2023), doi
10.1109/LGRS.2023.3304309.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from torch import Tensor, nn

from cdzoo.compatibility import check_doubling
from cdzoo.components import Decoder
from cdzoo.errors import ConfigError
from cdzoo.layers.criss_cross import CrissCrossAttention
from cdzoo.layers.resize import resize
from cdzoo.layers.shuffle_unit import shuffle_unit
from cdzoo.registry import register_decoder


class RecurrentAttention(CrissCrossAttention):
    """Criss-cross attention applied twice, so that every pixel sees all others."""

    def forward(self, x: Tensor) -> Tensor:
        """Attend twice."""
        return super().forward(super().forward(x))


@register_decoder("shuffle_stages")
class ShuffleStages(Decoder):
    """Stages that start from the finest level and each halve the resolution; returns the finest level and one map per stage.

    A stage has units of ShuffleNet V2, the first of stride 2, and criss-cross attention, applied twice. As in the official code,
    the map of stage i (from 0) is taken i units before the end of the stage, while the next stage starts after the attention. The
    rest of the last stage is created but not used, so that official checkpoints load strictly; it does not require gradients.

    LightCDNet has one input level. Further levels are projected by Conv1x1 and added to the map of the stage of their stride.

    Args:
        in_channels: Number of input channels per level.
        in_strides: Stride per level; each twice the previous one.
        widths: Number of channels per stage; even.
        depths: Number of units per stage; more than i for stage i.

    Raises:
        ConfigError: `widths` and `depths` do not match each other, or have values out of range, there are more levels than
            maps, or the strides do not double.
    """

    is_local = False

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int],
        widths: Sequence[int] = (48, 96, 192),
        depths: Sequence[int] = (4, 8, 4),
    ) -> None:
        if not 1 <= len(widths) == len(depths) <= 5 or any(width < 2 or width % 2 for width in widths):
            raise ConfigError(
                f"decoder shuffle_stages: one even width and one depth per stage are required, for at most 5 stages, got "
                f"{tuple(widths)} and {tuple(depths)}"
            )
        if any(not i < depth <= 100 for i, depth in enumerate(depths)):
            raise ConfigError(f"decoder shuffle_stages: stage i from 0 needs more than i units, at most 100, got {tuple(depths)}")
        if len(in_channels) > len(widths) + 1:
            raise ConfigError(
                f"decoder shuffle_stages: {len(in_channels)} levels need {len(in_channels) - 1} stages, got {len(widths)} widths"
            )
        check_doubling("decoder shuffle_stages", in_strides)
        strides = [in_strides[0] * 2**i for i in range(len(widths) + 1)]
        super().__init__(in_channels, in_strides, [in_channels[0], *widths], strides)
        self.stages = nn.ModuleList()
        before = in_channels[0]
        for width, depth in zip(widths, depths, strict=True):
            self.stages.append(shuffle_unit(before, width, stride=2))
            self.stages.extend(shuffle_unit(width, width) for _ in range(depth - 1))
            self.stages.append(RecurrentAttention(width))
            before = width
        self.taps = [end - 1 for end in accumulate(depths)]  # without the attention layers, which are counted in `stages`
        self.laterals = nn.ModuleList(nn.Conv2d(c, width, 1) for c, width in zip(in_channels[1:], widths, strict=False))
        self.stages[self.taps[-1] + 1 :].requires_grad_(False)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the finest level (B, C, h, w) and one map of half the size of the previous one per stage."""
        maps, x = [features[0]], features[0]
        for index, layer in enumerate(self.stages[: self.taps[-1] + 1]):
            x = layer(x)
            if index in self.taps:
                if len(maps) < len(features):
                    lateral = self.laterals[len(maps) - 1](features[len(maps)])
                    x = x + resize(lateral, x.shape[-2:])
                maps.append(x)
        return maps
