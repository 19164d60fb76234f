"""Attention over all positions of a map, as in SAGAN, DANet, CGNet and STANet."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.errors import ConfigError


class PositionAttention(nn.Module):
    """Single-head self-attention over the positions of a map: (B, C, h, w) -> (B, C, h, w).

    Each position is the query for all positions; memory and time grow with (h w)^2.

    Sources: H. Zhang et al., "Self-Attention Generative Adversarial Networks", ICML 2019; J. Fu et al., "Dual Attention Network
    for Scene Segmentation", CVPR 2019.

    Args:
        channels: Number of channels C.
        norm: Apply batch normalization to queries and keys.
        scaled: Divide the products of queries and keys by the square root of the number of their channels.
        residual: `"none"` returns the attended values y, `"sum"` x + y, and `"gated"` x + gamma y, where gamma is learned and
            starts at 0.
        reduction: Queries and keys have max(1, C / reduction) channels.

    Raises:
        ConfigError: `channels` or `reduction` is below 1.
    """

    def __init__(
        self,
        channels: int,
        norm: bool = False,
        scaled: bool = True,
        residual: Literal["none", "sum", "gated"] = "gated",
        reduction: int = 8,
    ) -> None:
        super().__init__()
        if min(channels, reduction) < 1:
            raise ConfigError(f"position attention: channels and reduction must be at least 1, got {channels} and {reduction}")
        hidden = max(1, channels // reduction)
        self.query = self._projection(channels, hidden, norm)
        self.key = self._projection(channels, hidden, norm)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1)) if residual == "gated" else None
        self.scale = hidden**-0.5 if scaled else 1.0
        self.residual = residual

    @staticmethod
    def _projection(channels: int, hidden: int, norm: bool) -> nn.Module:
        conv = nn.Conv2d(channels, hidden, 1)
        return nn.Sequential(conv, nn.BatchNorm2d(hidden)) if norm else conv

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Apply the attention to `x` (B, C, h, w); `weight` (B, 1, h, w) is multiplied with queries, keys and values."""
        projections = [self.query(x), self.key(x), self.value(x)]
        if weight is not None:
            projections = [projected * weight for projected in projections]
        # (B, 1, h w, channels): without the axis of heads the attention cannot be exported to ONNX.
        query, key, value = (projected.flatten(2).transpose(1, 2).unsqueeze(1) for projected in projections)
        y = F.scaled_dot_product_attention(query, key, value, scale=self.scale).transpose(-2, -1).reshape(x.shape)
        if self.gamma is not None:
            y = self.gamma * y
        return y if self.residual == "none" else x + y
