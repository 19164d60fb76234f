"""Mamba over sequences in two directions.

Sources: A. Gu, T. Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", arXiv 2312.00752; L. Zhu et al.,
"Vision Mamba" (Vim), ICML 2024, arXiv 2401.09417. Parameters have the names of Mamba.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.ops import selective_scan

_KERNEL = 4
_DT_MIN, _DT_MAX = 1e-3, 1e-1


class MambaScan(nn.Module):
    """Causal depthwise convolution, SiLU, selective scan, and the gate SiLU(z): (B, L, D) -> (B, L, D).

    Args:
        channels: Number of channels D.
        dt_rank: Rank of the projection to dt.
        d_state: State size N of the scan.
    """

    def __init__(self, channels: int, dt_rank: int, d_state: int = 16) -> None:
        super().__init__()
        self.dt_rank, self.d_state = dt_rank, d_state
        self.conv1d = nn.Conv1d(channels, channels, _KERNEL, groups=channels)
        self.x_proj = nn.Linear(channels, dt_rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(dt_rank, channels)
        self.A_log = nn.Parameter(torch.arange(1.0, d_state + 1).log().repeat(channels, 1))
        self.D = nn.Parameter(torch.ones(channels))
        with torch.no_grad():
            nn.init.uniform_(self.dt_proj.weight, -(dt_rank**-0.5), dt_rank**-0.5)
            dt = torch.empty(channels).uniform_(math.log(_DT_MIN), math.log(_DT_MAX)).exp()
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # inverse of softplus

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Scan a sequence from its first to its last element."""
        u = F.silu(self.conv1d(F.pad(x.transpose(1, 2), (_KERNEL - 1, 0))))  # (B, D, L)
        projected, rank, n = self.x_proj(u.transpose(1, 2)), self.dt_rank, self.d_state
        dt, b, c = projected[..., :rank], projected[..., rank : rank + n], projected[..., rank + n :]
        dt = F.linear(dt, self.dt_proj.weight).transpose(1, 2)
        y = selective_scan(
            u,
            dt,
            -torch.exp(self.A_log.float()),
            b.transpose(1, 2),
            c.transpose(1, 2),
            self.D.float(),
            z.transpose(1, 2),
            self.dt_proj.bias.float(),
            delta_softplus=True,
        )
        return y.transpose(1, 2)


class BidirectionalScan(nn.Module):
    """Sum of the scans of a sequence in both directions, with weights of their own after a shared projection.

    (B, L, C) -> (B, L, 2 C).

    Args:
        channels: Number of channels C.
        d_state: State size N of the scans.
    """

    def __init__(self, channels: int, d_state: int = 16) -> None:
        super().__init__()
        rank = math.ceil(channels / 16)
        self.in_proj = nn.Linear(channels, 4 * channels, bias=False)
        self.ahead = MambaScan(2 * channels, rank, d_state)
        self.back = MambaScan(2 * channels, rank, d_state)

    def forward(self, x: Tensor) -> Tensor:
        """Scan a sequence."""
        x, z = self.in_proj(x).chunk(2, dim=-1)
        return self.ahead(x, z) + self.back(x.flip(1), z.flip(1)).flip(1)


class ConvMamba(nn.Module):
    """Bidirectional scan of the pixels of a map, row by row, plus local convolutions: (B, H, W, C) -> (B, H, W, C).

    Source: H. Zhang et al., "CDMamba", IEEE TGRS 63 (2025), arXiv 2406.04207.

    Args:
        channels: Number of channels C.
        separable: Use depthwise and pointwise convolutions.
    """

    def __init__(self, channels: int, separable: bool = False) -> None:
        super().__init__()
        self.scan = BidirectionalScan(channels)
        self.local = separable_convs(channels) if separable else local_convs(channels)
        self.out_proj = nn.Linear(2 * channels, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the pixels of a channels-last map."""
        scanned = self.scan(x.flatten(1, 2)).view(*x.shape[:3], -1)
        return self.out_proj(scanned + self.local(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


def local_convs(channels: int) -> nn.Sequential:
    """Return Conv3x3, SiLU and Conv3x3: (B, C, H, W) -> (B, 2 C, H, W)."""
    return nn.Sequential(
        nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.SiLU(), nn.Conv2d(2 * channels, 2 * channels, 3, padding=1)
    )


def separable_convs(channels: int) -> nn.Sequential:
    """Return two depthwise Conv3x3, each with a Conv1x1, and SiLU between them: (B, C, H, W) -> (B, 2 C, H, W)."""
    return nn.Sequential(_separable(channels, channels), nn.SiLU(), _separable(channels, 2 * channels))


def _separable(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels), nn.Conv2d(in_channels, channels, 1)
    )


class MambaConv(nn.Module):
    """Linear(LN(ConvMamba(LN(x)) + s x)), both norms being the same one: (B, in_channels, H, W) -> (B, channels, H, W).

    s is learned and starts at 1. CDMamba calls the module SRCM.

    Args:
        in_channels: Number of input channels.
        channels: Number of output channels.
        separable: Use depthwise and pointwise convolutions.
    """

    def __init__(self, in_channels: int, channels: int, separable: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_channels)
        self.mix = ConvMamba(in_channels, separable)
        self.skip_scale = nn.Parameter(torch.ones(1))
        self.proj = nn.Linear(in_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the module."""
        x = x.permute(0, 2, 3, 1)
        return self.proj(self.norm(self.mix(self.norm(x)) + self.skip_scale * x)).permute(0, 3, 1, 2)


class MambaBlock(nn.Module):
    """x + MambaConv(ReLU(GN(MambaConv(ReLU(GN(x)))))): (B, C, H, W) -> (B, C, H, W).

    Args:
        channels: Number of channels C.
        separable: Use depthwise and pointwise convolutions.
    """

    def __init__(self, channels: int, separable: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = (group_norm(channels) for _ in range(2))
        self.conv1, self.conv2 = (MambaConv(channels, channels, separable) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return x + self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))


def group_norm(channels: int) -> nn.GroupNorm:
    """Return a group norm of 8 groups, or of fewer if 8 does not divide the channels."""
    return nn.GroupNorm(math.gcd(8, channels), channels)
