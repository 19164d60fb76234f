"""`fdaf`: flow-based dual-alignment fusion of Changer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.layers import kaiming_init_
from cdzoo.layers.instance_norm import InstanceNorm
from cdzoo.registry import register_fusion


@register_fusion("fdaf")
class FDAF(LevelFusion):
    """Differences of each date, warped by a predicted flow, from the other: [warp(x1, f1) - x2; warp(x2, f2) - x1].

    Both flows are predicted from [x1; x2] by a depthwise 5x5 convolution, instance normalization, GELU and a
    1x1 convolution. The output has 2 C channels.

    Source: S. Fang, K. Li, Z. Li, "Changer: Feature Interaction is What You Need for Change Detection", IEEE TGRS 61 (2023),
    arXiv 2209.08290.

    Args:
        channels: Number of channels C of each date.
    """

    is_local = False  # instance normalization

    def __init__(self, channels: int) -> None:
        super().__init__(channels, out_channels=2 * channels)
        self.flow = nn.Sequential(
            nn.Conv2d(2 * channels, 2 * channels, 5, padding=2, groups=2 * channels),
            InstanceNorm(2 * channels),
            nn.GELU(),
            nn.Conv2d(2 * channels, 4, 1, bias=False),
        )
        kaiming_init_(self)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into (B, 2 C, h, w)."""
        flow1, flow2 = self.flow(torch.cat([x1, x2], dim=1)).chunk(2, dim=1)
        return torch.cat([warp(x1, flow1) - x2, warp(x2, flow2) - x1], dim=1)


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Sample a map bilinearly at displaced positions; zero outside.

    Args:
        x: Map (B, C, h, w).
        flow: Displacement (B, 2, h, w) along x and y, in about half pixels: w stands for half the width.
    """
    height, width = x.shape[-2:]
    # From -1 to 1; `linspace` would fix the size of an exported program.
    ys, xs = (2 * torch.arange(size, device=x.device, dtype=x.dtype) / max(size - 1, 1) - 1 for size in (height, width))
    grid = torch.stack([xs + flow[:, 0] / width, ys[:, None] + flow[:, 1] / height], dim=-1)  # (B, h, w, 2)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
