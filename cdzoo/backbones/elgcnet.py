"""`elgcnet`: local and global context aggregation at four scales, the backbone of ELGC-Net.

Source: M. Noman, M. Fiaz, H. Cholakkal, S. Khan, F. S. Khan, "ELGC-Net: Efficient Local-Global Context Aggregation for Remote
Sensing Change Detection", IEEE TGRS 62 (2024), arXiv 2403.17909.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.errors import ConfigError
from cdzoo.layers.drop_path import drop_path as drop_path_layer
from cdzoo.layers.drop_path import drop_path_rates
from cdzoo.layers.stages import StagedBackbone
from cdzoo.registry import register_backbone

_GROUPS = 4


class ELGCA(nn.Module):
    """Local and global context of half of the channels each: (B, C, H, W) -> (B, C, H, W) with even H and W.

    The first half passes a depthwise Conv3x3. The second is projected to C channels in four groups: q, k, v and a local part.
    Channels of k attend to those of q, q being average-pooled and k max-pooled to half the size; the weights, normalized over the
    channels of q, are applied to v.

    Args:
        channels: Number of channels C; a multiple of 4.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.dwconv = nn.Conv2d(half, half, 3, padding=1, groups=half)
        self.qkvl = nn.Conv2d(half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the depthwise half, the local quarter and the global quarter."""
        first, second = x.chunk(2, dim=1)
        query, key, value, local = F.gelu(self.qkvl(second)).chunk(_GROUPS, dim=1)
        query, key = F.avg_pool2d(query, 3, 2, 1).flatten(2), F.max_pool2d(key, 2).flatten(2)  # (B, C / 4, H W / 4)
        weights = (query @ key.mT).softmax(dim=1)  # (B, channels of q, channels of k)
        context = (weights.mT @ value.flatten(2)).view_as(value)
        return torch.cat([F.gelu(self.dwconv(first)), local, context], dim=1)


class FeedForward(nn.Module):
    """Conv1x1, GELU, residual depthwise Conv3x3 with GELU, Conv1x1: (B, C, H, W) -> (B, C, H, W).

    Args:
        channels: Number of channels C.
        hidden: Number of channels between the two pointwise convolutions.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.pos = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers."""
        x = F.gelu(self.fc1(x))
        return self.fc2(x + F.gelu(self.pos(x)))


class Block(nn.Module):
    """Residual context aggregation and residual feed-forward layers, each after a layer norm over channels.

    Args:
        channels: Number of channels.
        mlp_ratio: Ratio of hidden channels of the feed-forward layers to the channels.
        drop_path: Stochastic depth rate of both residual branches.
    """

    def __init__(self, channels: int, mlp_ratio: float, drop_path: float) -> None:
        from timm.layers import LayerNorm2d  # imported here because timm takes seconds to import

        super().__init__()
        self.norm1, self.norm2 = (LayerNorm2d(channels, eps=1e-6) for _ in range(2))
        self.attn = ELGCA(channels)
        self.mlp = FeedForward(channels, int(mlp_ratio * channels))
        self.drop_path = drop_path_layer(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to a map (B, C, H, W)."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


@register_backbone("elgcnet")
class ELGCNetEncoder(StagedBackbone):
    """Stages of context aggregation at strides 4, 8, 16, 32, each after a Conv7x7 that downsamples; the defaults are published.

    Height and width must be multiples of twice the coarsest stride (64), because the pooled queries and keys of the last stage
    have equal sizes only there.

    Args:
        in_chans: Number of input channels.
        channels: Number of channels per stage; multiples of 4.
        depths: Number of blocks per stage.
        mlp_ratio: Ratio of hidden channels of the feed-forward layers to the channels.
        drop_path: Stochastic depth rate of the last block; rates increase linearly from 0.

    Raises:
        ConfigError: The lists differ in length, or an argument is out of range.
    """

    def __init__(
        self,
        in_chans: int = 3,
        channels: Sequence[int] = (64, 96, 128, 256),
        depths: Sequence[int] = (3, 3, 4, 3),
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
    ) -> None:
        if len(channels) != len(depths) or any(width < 1 or width % _GROUPS or mlp_ratio * width < 1 for width in channels):
            raise ConfigError(
                f"backbone elgcnet: channels {tuple(channels)} must have one multiple of {_GROUPS} per stage, as depths "
                f"{tuple(depths)}, and mlp_ratio be positive, got {mlp_ratio}"
            )
        super().__init__("elgcnet", in_chans, channels, depths, drop_path)
        self.size_multiple = 2 * max(self.out_strides)
        self.stages = nn.ModuleList()
        for i, (width, rates) in enumerate(zip(channels, drop_path_rates(drop_path, depths), strict=True)):
            embed = nn.Conv2d(channels[i - 1] if i else in_chans, width, 7, stride=2 if i else 4, padding=3)
            blocks = nn.Sequential(*(Block(width, mlp_ratio, rate) for rate in rates))
            self.stages.append(nn.Sequential(OrderedDict(embed=embed, blocks=blocks)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns one map (B, C_i, H / s_i, W / s_i) per stage."""
        return self.run_stages(x)
