"""Sine-cosine code of the positions of a map."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PositionCode(nn.Module):
    """Adds a fixed code to a map: sines and cosines of the row in the first half of the channels, of the column in the second.

    Source: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, for both axes of a map.

    Args:
        channels: Number of channels C.

    Attributes:
        frequencies: Frequencies 10000^(-2 i / n) for n = 2 ceil(C / 4) channels per axis; kept in the state dict.
    """

    frequencies: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        per_axis = 2 * -(-channels // 4)
        self.register_buffer("frequencies", 10000.0 ** -(torch.arange(0, per_axis, 2) / per_axis))

    def forward(self, x: Tensor) -> Tensor:
        """Return the map (B, C, h, w) with the code added."""
        height, width = x.shape[-2:]
        rows, columns = (self._code(size)[..., None] for size in (height, width))  # (n, size, 1)
        code = torch.cat([rows.expand(-1, -1, width), columns.mT.expand(-1, height, -1)])
        return x + code[: x.shape[1]].to(x.dtype)

    def _code(self, size: int) -> Tensor:
        """Return the code (n, size) of the positions along one axis."""
        angles = self.frequencies[:, None] * torch.arange(size, device=self.frequencies.device, dtype=self.frequencies.dtype)
        return torch.cat([angles.sin(), angles.cos()])
