"""Visual state space (VSS) block of VMamba and its variants.

Source: Y. Liu et al., "VMamba: Visual State Space Model", NeurIPS 2024, arXiv 2401.10166.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.errors import ConfigError
from cdzoo.layers.drop_path import drop_path as drop_path_layer
from cdzoo.layers.ss2d import SS2D


class VSSBlock(nn.Module):
    """Residual 2D selective scan of a channels-last map, optionally followed by a residual MLP.

    With gating, y = x + out_proj(LN(SS2D(SiLU(DWConv3x3(u)))) * SiLU(z)), where (u, z) = in_proj(LN(x)). Without gating, the
    factor SiLU(z) is omitted. The MLP computes y + MLP(LN(y)).

    Args:
        channels: Number of input and output channels C.
        d_state: State size N of the scan.
        expand: Ratio of inner channels to C.
        scan: Scan order, one of `cdzoo.ops.list_scan_orders()`.
        drop_path: Stochastic depth rate of both residual branches.
        gated: Multiply by SiLU(z); later versions of VMamba ("v3noz") do not.
        conv_bias: Add a bias to the depthwise convolution.
        mlp_ratio: Ratio of hidden channels of the MLP to C; 0 for no MLP, as in GLMamba.
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
        if inner < 1 or (mlp_ratio and int(mlp_ratio * channels) < 1):
            raise ConfigError(f"VSS block of {channels} channels: expand={expand} or mlp_ratio={mlp_ratio} is too small")
        self.gated = gated
        self.norm = nn.LayerNorm(channels)
        self.in_proj = nn.Linear(channels, 2 * inner if gated else inner, bias=False)
        self.conv = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=conv_bias)
        self.ss2d = SS2D(inner, d_state, math.ceil(channels / 16), scan)
        self.out_norm = nn.LayerNorm(inner)
        self.out_proj = nn.Linear(inner, channels, bias=False)
        self.norm2 = nn.LayerNorm(channels) if mlp_ratio else None
        self.mlp = None
        if mlp_ratio:
            from timm.layers import Mlp  # imported here because timm takes seconds to import

            self.mlp = Mlp(channels, int(mlp_ratio * channels))
        self.drop_path = drop_path_layer(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to a map (B, H, W, C); the output has the same shape."""
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
