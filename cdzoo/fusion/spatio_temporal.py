"""`spatio_temporal`: the three arrangements of two dates that ChangeMamba scans.

Source: H. Chen, J. Song, C. Han, J. Xia, N. Yokoya, "ChangeMamba: Remote Sensing Change Detection With Spatiotemporal State
Space Model", IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3417253, arXiv 2404.03425.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from cdzoo.components import LevelFusion
from cdzoo.errors import ConfigError
from cdzoo.layers import VSSBlock
from cdzoo.names import suggest
from cdzoo.registry import register_fusion


def _interleave(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.stack([x1, x2], dim=3).flatten(2, 3)


# Arrangement -> how two channels-last maps become one, and how the maps of the two dates are found in the result.
_ARRANGEMENTS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Sequence[Tensor]]]] = {
    "parallel": (lambda x1, x2: torch.cat([x1, x2], dim=3), lambda y: [y]),
    "cross": (_interleave, lambda y: [y[:, :, 0::2], y[:, :, 1::2]]),
    "sequential": (lambda x1, x2: torch.cat([x1, x2], dim=2), lambda y: y.chunk(2, dim=2)),
}


class Arrangement(nn.Module):
    """Arranges two dates as one map, projects its channels and scans it with a VSS block.

    Args:
        name: `"parallel"`: side by side in the channels, (H, W); `"cross"`: columns of the first and of the second date in
            turn, (H, 2 W); `"sequential"`: the second date to the right of the first, (H, 2 W).
        channels: Channels of each date.
        width: Channels given.
        drop_path: Stochastic-depth rate.
        d_state: State size N of the scan.
    """

    def __init__(self, name: str, channels: int, width: int, drop_path: float, d_state: int) -> None:
        super().__init__()
        self.arrange, self.find = _ARRANGEMENTS[name]
        self.project = nn.Conv2d(channels * (2 if name == "parallel" else 1), width, 1)
        self.scan = VSSBlock(width, d_state, 2.0, "cross", drop_path, gated=False, conv_bias=False, mlp_ratio=4.0)

    def forward(self, x1: Tensor, x2: Tensor) -> Sequence[Tensor]:
        """Scan two channels-last (B, h, w, C); returns one or two (B, h, w, width)."""
        x = self.arrange(x1, x2)
        x = self.project(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.find(self.scan(x))


@register_fusion("spatio_temporal")
class SpatioTemporal(LevelFusion):
    """ReLU(BN(Conv1x1([parallel; cross of t1, of t2; sequential of t1, of t2]))).

    Args:
        channels: Channels C of each date.
        width: Channels given.
        arrangements: Which of `"parallel"`, `"cross"` and `"sequential"` are scanned.
        drop_path: Stochastic-depth rate of the scans.
        d_state: State size N of the scans.
    """

    def __init__(
        self,
        channels: int,
        width: int = 128,
        arrangements: Sequence[str] = ("parallel", "cross", "sequential"),
        drop_path: float = 0.1,
        d_state: int = 1,
    ) -> None:
        super().__init__(channels, width)
        if not arrangements or width < 1:
            raise ConfigError("spatio_temporal needs at least one arrangement and a width of at least 1")
        for name in arrangements:
            if name not in _ARRANGEMENTS:
                raise ConfigError(
                    f"spatio_temporal: unknown arrangement '{name}'.{suggest(name, _ARRANGEMENTS)} "
                    f"Arrangements: {', '.join(_ARRANGEMENTS)}"
                )
        self.arrangements = nn.ModuleList(Arrangement(name, channels, width, drop_path, d_state) for name in arrangements)
        maps = sum(1 if name == "parallel" else 2 for name in arrangements)
        self.fuse = nn.Sequential(nn.Conv2d(maps * width, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two (B, C, h, w) into one (B, width, h, w)."""
        x1, x2 = x1.permute(0, 2, 3, 1), x2.permute(0, 2, 3, 1)
        found = [y for arrangement in self.arrangements for y in arrangement(x1, x2)]
        return self.fuse(torch.cat(found, dim=3).permute(0, 3, 1, 2))
