"""Intra-scale cross interaction of ICIF-Net: convolutional and transformer features of one date attend to each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cdzoo.layers.position_code import PositionCode

_WINDOWS = {3: 2, 5: 3, 7: 3}  # number of heads by window, as in CoaT
_HEADS = 8


class FactorizedAttention(nn.Module):
    """Attention whose cost is linear in the number of pixels, with convolutional relative positions.

    Linear(q (softmax(k)^T v) / sqrt(d) + q * DWConv(v)): the softmax is over the pixels, d is the number of channels per head,
    and the depthwise convolutions have 3x3 kernels in two of the eight heads, 5x5 in three and 7x7 in three. A number of channels
    that 8 does not divide has one head.

    Source: W. Xu et al., "Co-Scale Conv-Attentional Image Transformers", ICCV 2021, arXiv 2104.06399.

    Args:
        channels: Number of channels C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = _HEADS if channels % _HEADS == 0 else 1
        windows = _WINDOWS if self.heads > 1 else {3: 1}
        self.widths = [channels // self.heads * heads for heads in windows.values()]
        self.positions = nn.ModuleList(
            nn.Conv2d(width, width, window, padding=window // 2, groups=width)
            for width, window in zip(self.widths, windows, strict=True)
        )
        self.out = nn.Linear(channels, channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend from one map (B, C, h, w) to keys and values of another; the output has the same shape."""
        split = (query.shape[0], self.heads, query.shape[1] // self.heads, -1)
        q, k, v = (x.reshape(split) for x in (query, key, value))  # (B, heads, d, h w)
        context = k.softmax(-1) @ v.mT  # (B, heads, d, d)
        attended = (context.mT @ q * q.shape[2] ** -0.5).reshape(query.shape)
        local = [conv(part) for conv, part in zip(self.positions, torch.split(value, self.widths, dim=1), strict=True)]
        y = attended + query * torch.cat(local, dim=1)
        return self.out(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class PreNormBottleneck(nn.Module):
    """Residual bottleneck of 1x1, 3x3 and 1x1 convolutions, each after BN and ReLU; the shortcut is Conv1x1.

    Args:
        in_channels: Number of input channels.
        channels: Number of output channels C; the inner convolutions have C / 2.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // 2)
        sizes = ((in_channels, hidden, 1), (hidden, hidden, 3), (hidden, channels, 1))
        self.convs = nn.Sequential(
            *(nn.Sequential(nn.BatchNorm2d(a), nn.ReLU(), nn.Conv2d(a, b, kernel, padding=kernel // 2)) for a, b, kernel in sizes)
        )
        self.shortcut = nn.Conv2d(in_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, h, w) to (B, C, h, w)."""
        return self.convs(x) + self.shortcut(x)


class CrossInteraction(nn.Module):
    """Attention between the convolutional and the transformer features of one date, and their combination.

    Source: Y. Feng et al., "ICIF-Net", IEEE TGRS 60 (2022), doi 10.1109/TGRS.2022.3168331.

    Args:
        conv_channels: Number of channels of the convolutional map Y.
        channels: Number of channels C of the transformer map S.
        dropout: Dropout rate of whole channels of the combination.
    """

    def __init__(self, conv_channels: int, channels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.conv = self._projection(conv_channels, channels)
        self.transformer = self._projection(channels, channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.attention = FactorizedAttention(channels)
        self.join = PreNormBottleneck(2 * channels, conv_channels)
        self.dropout = nn.Dropout2d(dropout)

    @staticmethod
    def _projection(in_channels: int, channels: int) -> nn.Sequential:
        conv = nn.Conv2d(in_channels, channels, 1)
        return nn.Sequential(PositionCode(in_channels), conv, nn.BatchNorm2d(channels), nn.ReLU())

    def forward(self, conv: Tensor, transformer: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the combination (B, conv_channels, h, w), and the attention of S to Y and of Y to S, (B, C, h, w) each."""
        maps = (self.conv(conv), self.transformer(transformer))
        (q1, k1, v1), (q2, k2, v2) = (self.qkv(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).chunk(3, dim=1) for x in maps)
        from_transformer, from_conv = self.attention(q2, k1, v1), self.attention(q1, k2, v2)
        joined = self.dropout(self.join(torch.cat([from_transformer, from_conv], dim=1)))
        return joined, from_transformer, from_conv
