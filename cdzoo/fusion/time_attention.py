"""`time_attention`: channel attention over both dates, shuffle and projection, the fusion of LightCDNet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.errors import ConfigError, InputError
from cdzoo.layers import ConvBNReLU
from cdzoo.registry import register_fusion


@register_fusion("time_attention")
class TimeAttention(LevelFusion):
    """ReLU(BN(Conv1x1(shuffle([x1 + a1 x1; x2 + a2 x2])))): (B, C, h, w) twice -> (B, C, h, w).

    The weights [a1; a2] = sigmoid(MLP(mean over pixels of [x1; x2])) are one number per channel and date; the shuffle alternates
    the channels of the dates.

    Source: Y. Xing et al., "LightCDNet: Lightweight Change Detection Network Based on VHR Images", IEEE GRSL 20 (2023), doi
    10.1109/LGRS.2023.3304309.

    Args:
        channels: Number of channels C of each date.
        hidden: Number of hidden channels of the MLP, which are batch-normalized.

    Raises:
        ConfigError: `hidden` is below 1.
    """

    is_local = False

    def __init__(self, channels: int, hidden: int = 8) -> None:
        super().__init__(channels)
        if hidden < 1:
            raise ConfigError(f"fusion time_attention: hidden must be at least 1, got {hidden}")
        self.mlp = nn.Sequential(ConvBNReLU(2 * channels, hidden, 1), nn.Conv2d(hidden, 2 * channels, 1, bias=False))
        self.fuse = ConvBNReLU(2 * channels, channels, 1)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape.

        Raises:
            InputError: The batch has one sample in training, which cannot be batch-normalized after the mean over pixels.
        """
        if self.training and len(x1) == 1:
            raise InputError("fusion time_attention normalizes over the batch: train with batches of at least two samples")
        x = torch.cat([x1, x2], dim=1)
        x = x + x * self.mlp(x.mean((2, 3), keepdim=True)).sigmoid()
        return self.fuse(F.channel_shuffle(x, 2))
