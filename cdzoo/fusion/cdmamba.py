"""`cdmamba`: differences of dates that guide each other, the fusion of CDMamba.

Source: H. Zhang et al., "CDMamba", IEEE TGRS 63 (2025), arXiv 2406.04207.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Fusion
from cdzoo.errors import ConfigError
from cdzoo.layers.mamba import BidirectionalScan, MambaScan, local_convs
from cdzoo.registry import register_fusion


class GlobalConvs(nn.Module):
    """Projection and scan in one direction: (B, H, W, C) -> (B, H, W, 2 C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(channels, 4 * channels, bias=False)
        self.scan = MambaScan(2 * channels, math.ceil(channels / 16))

    def forward(self, x: Tensor) -> Tensor:
        """Scan a channels-last map row by row."""
        tokens, z = self.in_proj(x.flatten(1, 2)).chunk(2, dim=-1)
        return self.scan(tokens, z).view(*x.shape[:3], -1)


class LocalConvs(nn.Module):
    """Local convolutions of a channels-last map: (B, H, W, C) -> (B, H, W, 2 C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = local_convs(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the convolutions."""
        return self.convs(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Guide(nn.Module):
    """Bidirectional scan of each date, multiplied by ReLU(guide(other date)): two maps (B, H, W, C) -> two of the same shape.

    Each date has a layer norm of its own; everything else is shared.

    Args:
        channels: Number of channels C.
        guide: Computes 2 C channels from the other date.
    """

    def __init__(self, channels: int, guide: nn.Module) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.scan = BidirectionalScan(channels)
        self.guide = guide
        self.out_proj = nn.Linear(2 * channels, channels, bias=False)

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Guide each date by the other one."""
        x1, x2 = self.norm1(x1), self.norm2(x2)
        return self._guided(x1, x2), self._guided(x2, x1)

    def _guided(self, x: Tensor, other: Tensor) -> Tensor:
        scanned = self.scan(x.flatten(1, 2)).view(*x.shape[:3], -1)
        return self.out_proj(scanned * F.relu(self.guide(other)))


class Gate(nn.Module):
    """Weights of two maps (B, H, W, C), a softmax of a projection of the means of both: (B, 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * channels, 2, bias=False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the weights."""
        return self.gate(torch.cat([first.mean((1, 2)), second.mean((1, 2))], dim=-1)).softmax(dim=-1)


class GuidedDifference(nn.Module):
    """|y1 - y2|, where y is the gated sum of a local and a global guidance: two maps (B, C, H, W) -> (B, C, H, W).

    Args:
        channels: Number of channels C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near = Guide(channels, LocalConvs(channels))
        self.far = Guide(channels, GlobalConvs(channels))
        self.gate = Gate(channels)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Return the difference."""
        dates = [x.permute(0, 2, 3, 1) for x in (x1, x2)]
        near, far = torch.cat(self.near(*dates)), torch.cat(self.far(*dates))
        first, second = self.gate(near, far)[:, None, None].chunk(2, dim=-1)
        batch, y = x1.shape[0], first * near + second * far
        return (y[:batch] - y[batch:]).abs().permute(0, 3, 1, 2)


@register_fusion("cdmamba")
class CDMambaFusion(Fusion):
    """Guided differences of the finest levels, and absolute differences |x1 - x2| of the others.

    The output depends on the order of the dates.

    Args:
        in_channels: Number of input channels per level.
        in_strides: Stride per level.
        guided: Number of levels with guided differences.

    Raises:
        ConfigError: `guided` is negative.
    """

    is_local = False

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, guided: int = 2) -> None:
        if guided < 0:
            raise ConfigError(f"fusion cdmamba: guided must not be negative, got {guided}")
        super().__init__(in_channels, in_strides)
        self.levels = nn.ModuleList(GuidedDifference(channels) for channels in in_channels[:guided])

    def forward(self, features1: list[Tensor], features2: list[Tensor]) -> list[Tensor]:
        """Fuse the pyramids of the two dates; the shapes are kept."""
        fused = [(x1 - x2).abs() for x1, x2 in zip(features1[len(self.levels) :], features2[len(self.levels) :], strict=True)]
        return [*(level(x1, x2) for level, x1, x2 in zip(self.levels, features1, features2, strict=False)), *fused]
