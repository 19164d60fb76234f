"""`joint_attention`: attention of both dates with a joint query, the fusion of DMINet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.layers import ConvBNReLU, normal_init_
from cdzoo.registry import register_fusion

_REDUCTION = 8


@register_fusion("joint_attention")
class JointAttention(LevelFusion):
    """[ConvBNReLU3x3([y1; y2]); |y1 - y2|], where y_i = x_i + gamma * attention with keys and values of x_i.

    The queries are the concatenation of projections of both dates; gamma is learned and starts at 0. Each position attends to
    all, so memory and time grow with (h w)^2. The output has 2 C channels.

    Source: Y. Feng et al., "Change Detection on Remote Sensing Images Using Dual-Branch Multilevel Intertemporal Network", IEEE
    TGRS 61 (2023), doi 10.1109/TGRS.2023.3241257.

    Args:
        channels: Number of channels C of each date.
    """

    is_local = False

    def __init__(self, channels: int) -> None:
        super().__init__(channels, out_channels=2 * channels)
        hidden = max(1, channels // _REDUCTION)
        self.queries = nn.ModuleList(nn.Conv2d(channels, hidden, 1) for _ in range(2))
        self.keys = nn.ModuleList(nn.Conv2d(channels, 2 * hidden, 1) for _ in range(2))
        self.values = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(2))
        self.gamma = nn.Parameter(torch.zeros(1))
        self.join = ConvBNReLU(2 * channels, channels)
        normal_init_(self)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into (B, 2 C, h, w)."""
        query = torch.cat([project(x) for project, x in zip(self.queries, (x1, x2), strict=True)], dim=1)
        y1, y2 = (
            x + self.gamma * _attend(query, key(x), value(x))
            for x, key, value in zip((x1, x2), self.keys, self.values, strict=True)
        )
        return torch.cat([self.join(torch.cat([y1, y2], dim=1)), (y1 - y2).abs()], dim=1)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return the attention (B, C, h, w) of maps of queries, keys and values, without scaling."""
    # (B, 1, h w, channels): without the axis of heads the attention cannot be exported to ONNX.
    q, k, v = (x.flatten(2).transpose(1, 2).unsqueeze(1) for x in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v, scale=1.0).transpose(-2, -1).reshape(value.shape)
