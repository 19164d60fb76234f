"""The visual state space block of GLMamba, VMamba and their kin.

Source: Y. Liu et al., "VMamba: Visual State Space Model", NeurIPS 2024, arXiv 2401.10166.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.layers.drop_path import drop_path as drop_path_layer
from cdzoo.layers.ss2d import SS2D


class Mlp(nn.Module):
    """fc2(GELU(fc1(x))) on the last axis."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))


class VSSBlock(nn.Module):
    """Scans a channels-last map (B, H, W, C) and adds what it finds; the shape stays.

    Gated: x + out_proj(LN(SS2D(SiLU(DWConv3x3(x')))) * SiLU(z)) with (x', z) = in_proj(LN(x)); otherwise without z. With an
    MLP, y + MLP(LN(y)) follows.

    Args:
        channels: Channels C.
        d_state: State size N of the scan.
        expand: Inner width as a multiple of C.
        scan: Order of the directions, see `cdzoo.ops.list_scan_orders`.
        drop_path: Stochastic-depth rate of both residual branches.
        gated: Multiply by SiLU(z); VMamba's later versions ("v3noz") do not.
        conv_bias: Bias in the depthwise convolution.
        mlp_ratio: Hidden width of the MLP as a multiple of C; 0 for no MLP, as in GLMamba.
    """

    def __init__(
        self,
        channels: int,
        d_state: int,
        expand: float,
        scan: str,
        drop_path: float,
        gated: bool = True,
        conv_bias: bool = True,
        mlp_ratio: float = 0.0,
    ) -> None:
        super().__init__()
        inner = int(expand * channels)
        self.gated = gated
        self.norm = nn.LayerNorm(channels)
        self.in_proj = nn.Linear(channels, 2 * inner if gated else inner, bias=False)
        self.conv = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=conv_bias)
        self.ss2d = SS2D(inner, d_state, math.ceil(channels / 16), scan)
        self.out_norm = nn.LayerNorm(inner)
        self.out_proj = nn.Linear(inner, channels, bias=False)
        self.norm2 = nn.LayerNorm(channels) if mlp_ratio else None
        self.mlp = Mlp(channels, int(mlp_ratio * channels)) if mlp_ratio else None
        self.drop_path = drop_path_layer(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        x = x + self.drop_path(self._scan(self.norm(x)))
        if self.norm2 is not None and self.mlp is not None:
            x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x

    def _scan(self, x: Tensor) -> Tensor:
        u, z = self.in_proj(x), None
        if self.gated:
            u, z = u.chunk(2, dim=-1)  # (B, H, W, E C) each
        u = F.silu(self.conv(u.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        y = self.out_norm(self.ss2d(u))
        return self.out_proj(y if z is None else y * F.silu(z))
