"""`cross_attention`: bidirectional cross-attention between the dates, a baseline of BFA in Table II of GLMamba."""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU, kaiming_init_
from cdzoo.layers.pooling import pool_to
from cdzoo.registry import register_fusion


@register_fusion("cross_attention")
class CrossAttention(LevelFusion):
    """Bidirectional cross-attention between the dates, followed by Conv1x1-BN-ReLU of their concatenation.

    Queries are the pixels of one date; keys and values are the other date, average-pooled to at most `tokens` tokens, so the
    cost is linear in the number of pixels. Weights are shared between the directions. The GLMamba paper does not describe its
    cross-attention baseline; this is the standard pre-norm form (A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017).

    Args:
        channels: Number of channels C of each date.
        head_channels: Number of channels per head; a single head is used if it does not divide C.
        tokens: Maximum number of keys per image.

    Raises:
        ConfigError: `head_channels` or `tokens` is below 1.
    """

    is_local = False

    def __init__(self, channels: int, head_channels: int = 32, tokens: int = 256) -> None:
        super().__init__(channels)
        if tokens < 1 or head_channels < 1:
            raise ConfigError(f"fusion cross_attention: tokens and head_channels must be positive, got {tokens}, {head_channels}")
        self.heads = channels // head_channels if channels % head_channels == 0 else 1
        self.side = math.isqrt(tokens)
        self.norm = nn.GroupNorm(1, channels)
        self.query = nn.Conv2d(channels, channels, 1)
        self.key_value = nn.Conv2d(channels, 2 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.fuse = ConvBNReLU(2 * channels, channels, 1)
        kaiming_init_(self)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        n1, n2 = self.norm(x1), self.norm(x2)
        return self.fuse(torch.cat([x1 + self._attend(n1, n2), x2 + self._attend(n2, n1)], dim=1))

    def _attend(self, x: Tensor, context: Tensor) -> Tensor:
        """Return the attention output (B, C, h, w) of queries from `x` and keys and values from `context`."""
        batch, channels, height, width = x.shape
        rows, columns = (cast(int, torch.sym_min(side, self.side)) for side in (height, width))
        pooled = pool_to(context, (rows, columns))
        key, value = self.key_value(pooled).chunk(2, dim=1)
        query, key, value = (
            t.reshape(batch, self.heads, channels // self.heads, -1).transpose(2, 3)  # (B, heads, tokens, C / heads)
            for t in (self.query(x), key, value)
        )
        y = F.scaled_dot_product_attention(query, key, value)
        return self.out(y.transpose(2, 3).reshape(batch, channels, height, width))
