"""`mf_mamba`: fusion of the decoder in the MF-Mamba repository."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU
from cdzoo.layers.cbam import channel_mlp, channel_scores
from cdzoo.registry import register_fusion


class JointAttention(nn.Module):
    """Joint convolution of both dates with residual channel attention.

    y + y * sigmoid(MLP(mean over pixels) + MLP(max over pixels)) with y = SiLU(BN(Conv3x3([x1; x2]))).

    Args:
        channels: Number of channels C of each date.
        reduction: Reduction ratio of the hidden channels of the MLP, max(1, C / reduction).
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.mlp = channel_mlp(channels, reduction, nn.SiLU(), bias=False)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Combine two maps (B, C, h, w) into one of the same shape."""
        y = F.silu(self.norm(self.conv(torch.cat([x1, x2], dim=1))))
        return y + y * channel_scores(self.mlp, y).sigmoid()


@register_fusion("mf_mamba")
class MFMamba(LevelFusion):
    """F(F(x1, J), F(J, x2)) with the joint attention J of both dates and a shared F(a, b) = ReLU(BN(Conv1x1([a; b]))).

    Source: the public repository 121zzy/MF-Mamba of Z. Zhang et al., IEEE TGRS 2024, doi 10.1109/TGRS.2024.3501303;
    `cdzoo/models/mf_vmamba.py` lists the differences from the paper.

    Args:
        channels: Number of channels C of each date.
        reduction: Reduction ratio of the hidden channels of the channel attention.

    Raises:
        ConfigError: `reduction` is below 1.
    """

    is_local = False

    def __init__(self, channels: int, reduction: int = 16) -> None:
        if reduction < 1:
            raise ConfigError(f"fusion mf_mamba: reduction must be at least 1, got {reduction}")
        super().__init__(channels)
        self.joint = JointAttention(channels, reduction)
        self.fuse = ConvBNReLU(2 * channels, channels, 1)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        joint = self.joint(x1, x2)
        y1, y2 = self.fuse(torch.cat([x1, joint], dim=1)), self.fuse(torch.cat([joint, x2], dim=1))
        return self.fuse(torch.cat([y1, y2], dim=1))
