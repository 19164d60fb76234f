"""`mf_mamba`: the fusion of the decoder that the MF-Mamba repository holds."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU
from cdzoo.registry import register_fusion


class JointAttention(nn.Module):
    """Both dates convolved to C channels, plus that weighted by channel attention.

    y = SiLU(BN(Conv3x3([x1; x2]))); y + y * sigmoid(MLP(mean over pixels) + MLP(max over pixels)).
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.conv = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.SiLU(), nn.Conv2d(hidden, channels, 1, bias=False)
        )

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Join two (B, C, h, w) into one."""
        y = F.silu(self.norm(self.conv(torch.cat([x1, x2], dim=1))))
        weight = self.mlp(y.mean((2, 3), keepdim=True)) + self.mlp(y.amax((2, 3), keepdim=True))
        return y + y * weight.sigmoid()


@register_fusion("mf_mamba")
class MFMamba(LevelFusion):
    """F(F(x1, J), F(J, x2)) with J the joint attention of both dates and F(a, b) = ReLU(BN(Conv1x1([a; b]))), one F for all.

    Source: the public code that Z. Zhang et al., IEEE TGRS 2024, doi 10.1109/TGRS.2024.3501303, is said to be published with
    (121zzy/MF-Mamba); see `cdzoo/models/mf_vmamba.py` for what of the paper it is not.

    Args:
        channels: Channels C of each date.
        reduction: Divisor of the hidden width of the channel attention.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        if reduction < 1:
            raise ConfigError(f"mf_mamba: reduction must be at least 1, got {reduction}")
        super().__init__(channels)
        self.joint = JointAttention(channels, reduction)
        self.fuse = ConvBNReLU(2 * channels, channels, 1)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two (B, C, h, w) into one."""
        joint = self.joint(x1, x2)
        first, second = self.fuse(torch.cat([x1, joint], dim=1)), self.fuse(torch.cat([joint, x2], dim=1))
        return self.fuse(torch.cat([first, second], dim=1))
