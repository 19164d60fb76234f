"""`cross_attention`: each date asks the other, one rival of BFA in GLMamba's Table II."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU, kaiming_init_
from cdzoo.registry import register_fusion


@register_fusion("cross_attention")
class CrossAttention(LevelFusion):
    """Two-way cross attention between the dates, then Conv1x1-BN-ReLU on both.

    Every pixel of one date is a query; keys and values are the other date, average-pooled to at most `tokens` tokens, so the
    cost grows with the number of pixels and not with its square. The weights are shared by the two ways. The paper does not
    print its cross-attention rival; this is the standard pre-norm form (Vaswani et al., 2017).

    Args:
        channels: Channels C of each date.
        head_channels: Channels per attention head; must divide C, or C is one head.
        tokens: Most keys per image.
    """

    def __init__(self, channels: int, head_channels: int = 32, tokens: int = 256) -> None:
        super().__init__(channels)
        if tokens < 1 or head_channels < 1:
            raise ConfigError(f"cross_attention: tokens and head_channels must be positive, got {tokens}, {head_channels}")
        self.heads = channels // head_channels if channels % head_channels == 0 else 1
        self.side = math.isqrt(tokens)
        self.norm = nn.GroupNorm(1, channels)
        self.query = nn.Conv2d(channels, channels, 1)
        self.key_value = nn.Conv2d(channels, 2 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.fuse = ConvBNReLU(2 * channels, channels, 1)
        kaiming_init_(self)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two (B, C, h, w) into one."""
        n1, n2 = self.norm(x1), self.norm(x2)
        return self.fuse(torch.cat([x1 + self._attend(n1, n2), x2 + self._attend(n2, n1)], dim=1))

    def _attend(self, asking: Tensor, asked: Tensor) -> Tensor:
        batch, channels, height, width = asking.shape
        pooled = F.adaptive_avg_pool2d(asked, (min(height, self.side), min(width, self.side)))
        key, value = self.key_value(pooled).chunk(2, dim=1)
        query, key, value = (
            t.reshape(batch, self.heads, channels // self.heads, -1).transpose(2, 3)  # (B, heads, tokens, C / heads)
            for t in (self.query(asking), key, value)
        )
        answer = F.scaled_dot_product_attention(query, key, value)
        return self.out(answer.transpose(2, 3).reshape(batch, channels, height, width))
