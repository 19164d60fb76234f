"""`attention_unet`: decoder of Attention U-Net with residual blocks, one of the decoders of ICIF-Net."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Decoder
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU, normal_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_decoder


class GatedMerge(nn.Module):
    """Merge a level l with the upsampled coarser map g: double convolution of [a(l, g) * l; g] with a residual projection.

    The gate is a(l, g) = sigmoid(BN(Conv1x1(ReLU(BN(Conv1x1(g)) + BN(Conv1x1(l)))))), one value per pixel.

    Args:
        channels: Number of channels C of the level and of the output.
        coarser: Number of channels of the coarser map.
    """

    def __init__(self, channels: int, coarser: int) -> None:
        super().__init__()
        self.gate_coarse = _project(coarser, channels)
        self.gate_fine = _project(channels, channels)
        self.gate = _project(channels, 1)
        self.convs = nn.Sequential(
            ConvBNReLU(channels + coarser, channels, bias=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = _project(channels + coarser, channels)

    def forward(self, level: Tensor, coarser: Tensor) -> Tensor:
        """Merge (B, C, h, w) and (B, coarser, h', w') into (B, C, h, w)."""
        coarser = resize(coarser, level.shape[-2:], align_corners=True)
        gate = self.gate(F.relu(self.gate_coarse(coarser) + self.gate_fine(level))).sigmoid()
        x = torch.cat([gate * level, coarser], dim=1)
        return F.relu(self.convs(x) + self.shortcut(x))


@register_decoder("attention_unet")
class AttentionUNet(Decoder):
    """From coarse to fine: bilinear upsampling with aligned corners, merged with the next finer level by `GatedMerge`.

    Returns the finest level.

    Source: O. Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas", MIDL 2018; Y. Feng et al., "ICIF-Net",
    IEEE TGRS 60 (2022), doi 10.1109/TGRS.2022.3168331.

    Args:
        in_channels: Number of input channels per level, at least two levels.
        in_strides: Stride per level.

    Raises:
        ConfigError: There is only one level.
    """

    is_local = True

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None) -> None:
        if len(in_channels) < 2:
            raise ConfigError("decoder attention_unet needs at least two levels, got one; use decoder=None")
        super().__init__(in_channels, in_strides, in_channels[:1], None if in_strides is None else in_strides[:1])
        self.merges = nn.ModuleList(GatedMerge(fine, coarse) for fine, coarse in pairwise(in_channels))
        normal_init_(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into its finest level (B, C_1, h, w)."""
        *finer, x = features
        for level, merge in reversed(list(zip(finer, self.merges, strict=True))):
            x = merge(level, x)
        return [x]


def _project(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1), nn.BatchNorm2d(channels))
