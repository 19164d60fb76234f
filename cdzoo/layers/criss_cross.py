"""Criss-cross attention: every pixel attends to its row and its column.

Source: Z. Huang et al., "CCNet: Criss-Cross Attention for Semantic Segmentation", ICCV 2019, arXiv 1811.11721.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CrissCrossAttention(nn.Module):
    """x + gamma * attention over the row and the column of each pixel: (B, C, h, w) -> (B, C, h, w).

    The softmax runs over the h + w pixels of both, without scale. The pixel itself counts once, as a member of its row. gamma is
    learned and starts at 0.

    Args:
        channels: Number of channels C.
        reduction: Queries and keys have max(1, C / reduction) channels.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.query = nn.Conv2d(channels, hidden, 1)
        self.key = nn.Conv2d(channels, hidden, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Attend to the rows and columns of a map."""
        height = x.shape[2]
        query, key, value = self.query(x), self.key(x), self.value(x)
        column = torch.einsum("bchw,bcgw->bhwg", query, key)  # (B, h, w, h)
        row = torch.einsum("bchw,bchv->bhwv", query, key)  # (B, h, w, w)
        rows = torch.arange(height, device=x.device)
        itself = (rows[:, None] == rows)[:, None]  # (h, 1, h)
        weight = torch.cat([column.masked_fill(itself, float("-inf")), row], dim=3).softmax(dim=3)
        y = torch.einsum("bcgw,bhwg->bchw", value, weight[..., :height])
        y = y + torch.einsum("bchv,bhwv->bchw", value, weight[..., height:])
        return x + self.gamma * y
