"""`bit`: the bitemporal image transformer, on semantic tokens.

Source: H. Chen, Z. Qi, Z. Shi, "Remote Sensing Image Change Detection with Transformers", IEEE TGRS 60 (2022), doi
10.1109/TGRS.2021.3095166, arXiv 2103.00208.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.errors import ConfigError
from cdzoo.layers import normal_init_
from cdzoo.registry import register_fusion


class Attention(nn.Module):
    """Multi-head attention of `x` (B, n, C) to `context` (B, m, C), scaled by C ** -0.5.

    The scale is that of the authors' code; the usual one is head_channels ** -0.5.
    """

    def __init__(self, channels: int, heads: int, head_channels: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = channels**-0.5
        self.out = nn.Linear(heads * head_channels, channels)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend with projected (B, n, heads * head_channels) queries and (B, m, ...) keys and values."""
        q, k, v = (t.view(*t.shape[:2], self.heads, -1).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return self.out(y.transpose(1, 2).flatten(2))


class SelfAttention(Attention):
    """Attention of tokens to each other; one projection makes queries, keys and values."""

    def __init__(self, channels: int, heads: int, head_channels: int) -> None:
        super().__init__(channels, heads, head_channels)
        self.qkv = nn.Linear(channels, 3 * heads * head_channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within (B, n, C)."""
        return self.attend(*self.qkv(x).chunk(3, dim=-1))


class CrossAttention(Attention):
    """Attention of pixels to tokens."""

    def __init__(self, channels: int, heads: int, head_channels: int) -> None:
        super().__init__(channels, heads, head_channels)
        self.q = nn.Linear(channels, heads * head_channels, bias=False)
        self.k = nn.Linear(channels, heads * head_channels, bias=False)
        self.v = nn.Linear(channels, heads * head_channels, bias=False)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Attend from (B, n, C) to (B, m, C)."""
        return self.attend(self.q(x), self.k(context), self.v(context))


class Layer(nn.Module):
    """x + Attention(LN(x)), then x + MLP(LN(x)); the context, if any, goes through the first layer norm too."""

    def __init__(self, channels: int, attention: Attention, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = attention
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels))

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        """Apply to (B, n, C)."""
        x = x + self.attn(self.norm1(x), *(self.norm1(c) for c in context))
        return x + self.mlp(self.norm2(x))


@register_fusion("bit")
class BIT(LevelFusion):
    """Few tokens per date, a transformer over those of both, each date's pixels asking its own tokens; then |x1 - x2|.

    Tokens are means of the pixels under `tokens` softmax maps over the image. The order of the dates matters only through
    the learned position of each token.

    Args:
        channels: Channels C of each date.
        tokens: Tokens per date.
        depth: Layers over the tokens of both dates.
        decoder_depth: Layers in which pixels ask tokens.
        heads: Attention heads.
        head_channels: Channels per head of the token layers.
        decoder_head_channels: Channels per head of the pixel layers.
        mlp_ratio: Hidden width of the MLPs as a multiple of C.
    """

    def __init__(
        self,
        channels: int,
        tokens: int = 4,
        depth: int = 1,
        decoder_depth: int = 8,
        heads: int = 8,
        head_channels: int = 64,
        decoder_head_channels: int = 8,
        mlp_ratio: float = 2.0,
    ) -> None:
        super().__init__(channels)
        if min(tokens, depth, decoder_depth, heads, head_channels, decoder_head_channels) < 1 or mlp_ratio <= 0:
            raise ConfigError("fusion bit: tokens, depths, heads, head channels and mlp_ratio must be positive")
        hidden = max(1, int(mlp_ratio * channels))
        self.tokenize = nn.Conv2d(channels, tokens, 1, bias=False)
        self.position = nn.Parameter(torch.randn(1, 2 * tokens, channels))
        self.encoder = nn.Sequential(
            *(Layer(channels, SelfAttention(channels, heads, head_channels), hidden) for _ in range(depth))
        )
        self.decoder = nn.ModuleList(
            Layer(channels, CrossAttention(channels, heads, decoder_head_channels), hidden) for _ in range(decoder_depth)
        )
        normal_init_(self)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two (B, C, h, w) into one."""
        batch, channels, height, width = x1.shape
        x = torch.cat([x1, x2])
        maps = self.tokenize(x).flatten(2).softmax(dim=-1)
        x = x.flatten(2).transpose(1, 2)  # (2 B, h * w, C)
        tokens = maps @ x
        both = self.encoder(torch.cat(tokens.chunk(2), dim=1) + self.position)  # (B, 2 tokens, C)
        tokens = torch.cat(both.chunk(2, dim=1))
        for layer in self.decoder:
            x = layer(x, tokens)
        first, second = x.chunk(2)
        return (first - second).abs().transpose(1, 2).reshape(batch, channels, height, width)
