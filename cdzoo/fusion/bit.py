"""`bit`: bitemporal image transformer on semantic tokens.

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
    """Base of multi-head attention with scale C ** -0.5, as in the official code, instead of head_channels ** -0.5.

    Args:
        channels: Number of input and output channels C.
        heads: Number of attention heads.
        head_channels: Number of channels per head.
    """

    def __init__(self, channels: int, heads: int, head_channels: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = channels**-0.5
        self.out = nn.Linear(heads * head_channels, channels)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return the attention output (B, n, C) of queries (B, n, heads * head_channels) and keys and values (B, m, ...)."""
        q, k, v = (t.view(*t.shape[:2], self.heads, -1).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return self.out(y.transpose(1, 2).flatten(2))


class SelfAttention(Attention):
    """Self-attention of tokens with a joint projection of queries, keys and values."""

    def __init__(self, channels: int, heads: int, head_channels: int) -> None:
        super().__init__(channels, heads, head_channels)
        self.qkv = nn.Linear(channels, 3 * heads * head_channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply self-attention to tokens (B, n, C)."""
        return self.attend(*self.qkv(x).chunk(3, dim=-1))


class CrossAttention(Attention):
    """Cross-attention from pixels (queries) to tokens (keys and values)."""

    def __init__(self, channels: int, heads: int, head_channels: int) -> None:
        super().__init__(channels, heads, head_channels)
        self.q = nn.Linear(channels, heads * head_channels, bias=False)
        self.k = nn.Linear(channels, heads * head_channels, bias=False)
        self.v = nn.Linear(channels, heads * head_channels, bias=False)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Apply cross-attention from `x` (B, n, C) to `context` (B, m, C)."""
        return self.attend(self.q(x), self.k(context), self.v(context))


class Layer(nn.Module):
    """Transformer layer: x + Attention(LN(x)), then x + MLP(LN(x)). The context is normalized by the first layer norm, too.

    Args:
        channels: Number of input and output channels C.
        attention: Attention module.
        hidden: Number of hidden channels of the MLP.
    """

    def __init__(self, channels: int, attention: Attention, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = attention
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels))

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        """Apply the layer to `x` (B, n, C), with an optional context (B, m, C)."""
        x = x + self.attn(self.norm1(x), *(self.norm1(c) for c in context))
        return x + self.mlp(self.norm2(x))


@register_fusion("bit")
class BIT(LevelFusion):
    """Semantic tokens per date, a transformer encoder over both dates, a decoder from pixels to tokens, and |x1 - x2|.

    Tokens are averages of the pixels, weighted by softmax maps over the image. The encoder applies self-attention to the tokens
    of both dates; the decoder applies cross-attention from pixels to tokens of the same date. The output depends on the order
    of the dates only through the learned position embedding of the tokens.

    Args:
        channels: Number of channels C of each date.
        tokens: Number of tokens per date.
        depth: Number of encoder layers.
        decoder_depth: Number of decoder layers.
        heads: Number of attention heads.
        head_channels: Number of channels per head of the encoder.
        decoder_head_channels: Number of channels per head of the decoder.
        mlp_ratio: Ratio of hidden channels of the MLPs to C.

    Raises:
        ConfigError: An argument is not positive.
    """

    is_local = False

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
            raise ConfigError("fusion bit: all arguments must be positive")
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
        """Fuse two maps (B, C, h, w) into one of the same shape."""
        batch, channels, height, width = x1.shape
        x = torch.cat([x1, x2])
        weights = self.tokenize(x).flatten(2).softmax(dim=-1)  # (2 B, tokens, h * w)
        x = x.flatten(2).transpose(1, 2)  # (2 B, h * w, C)
        tokens = weights @ x  # (2 B, tokens, C)
        encoded = self.encoder(torch.cat([tokens[:batch], tokens[batch:]], dim=1) + self.position)  # (B, 2 tokens, C)
        tokens = torch.cat(encoded.chunk(2, dim=1))  # (2 B, tokens, C)
        for layer in self.decoder:
            x = layer(x, tokens)
        x1, x2 = x[:batch], x[batch:]  # `chunk` would fix the batch of an exported program
        return (x1 - x2).abs().transpose(1, 2).reshape(batch, channels, height, width)
