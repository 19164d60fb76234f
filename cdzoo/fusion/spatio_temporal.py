"""`spatio_temporal`: spatio-temporal state space fusion of ChangeMamba, scans over three arrangements of the dates.

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
from cdzoo.names import check_known
from cdzoo.registry import register_fusion


def _interleave(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.stack([x1, x2], dim=3).flatten(2, 3)


def _halves(y: Tensor) -> list[Tensor]:
    half = y.shape[2] // 2  # slices, because `chunk` of a free size cannot be exported to ONNX
    return [y[:, :, :half], y[:, :, half:]]


# Per arrangement, a function that combines two channels-last maps and one that splits the result into maps of size (h, w).
_ARRANGEMENTS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Sequence[Tensor]]]] = {
    "parallel": (lambda x1, x2: torch.cat([x1, x2], dim=3), lambda y: [y]),
    "cross": (_interleave, lambda y: [y[:, :, 0::2], y[:, :, 1::2]]),
    "sequential": (lambda x1, x2: torch.cat([x1, x2], dim=2), _halves),
}


class Arrangement(nn.Module):
    """Combine two dates into one map, project its channels and apply a VSS block.

    Args:
        name: `"parallel"` concatenates the channels, (h, w); `"cross"` interleaves the columns of the dates, (h, 2w);
            `"sequential"` places the second date to the right of the first, (h, 2w).
        channels: Number of channels of each date.
        width: Number of output channels.
        drop_path: Stochastic depth rate.
        d_state: State size N of the scan.
    """

    def __init__(self, name: str, channels: int, width: int, drop_path: float, d_state: int) -> None:
        super().__init__()
        self.name = name
        self.project = nn.Conv2d(channels * (2 if name == "parallel" else 1), width, 1)
        self.scan = VSSBlock(width, d_state, 2.0, "cross", drop_path, gated=False, conv_bias=False, mlp_ratio=4.0)

    def forward(self, x1: Tensor, x2: Tensor) -> Sequence[Tensor]:
        """Apply to two channels-last maps (B, h, w, C); returns one map (B, h, w, width) if parallel, else one per date."""
        arrange, split = _ARRANGEMENTS[self.name]  # looked up here: lambdas cannot be pickled
        x = arrange(x1, x2)
        x = self.project(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return split(self.scan(x))


@register_fusion("spatio_temporal")
class SpatioTemporal(LevelFusion):
    """Conv1x1-BN-ReLU of the concatenated scans of all arrangements: (B, C, h, w) twice -> (B, width, h, w).

    Args:
        channels: Number of channels C of each date.
        width: Number of output channels.
        arrangements: Subset of `"parallel"`, `"cross"` and `"sequential"`.
        drop_path: Stochastic depth rate of the VSS blocks.
        d_state: State size N of the scans.

    Raises:
        ConfigError: `arrangements` is empty or has an unknown name, or `width` is below 1.
    """

    is_local = False

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
            raise ConfigError("fusion spatio_temporal needs at least one arrangement and a width of at least 1")
        for name in arrangements:
            check_known("fusion spatio_temporal: unknown arrangement", name, _ARRANGEMENTS)
        self.arrangements = nn.ModuleList(Arrangement(name, channels, width, drop_path, d_state) for name in arrangements)
        num_maps = sum(1 if name == "parallel" else 2 for name in arrangements)
        self.fuse = nn.Sequential(nn.Conv2d(num_maps * width, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Fuse two maps (B, C, h, w) into one (B, width, h, w)."""
        x1, x2 = x1.permute(0, 2, 3, 1), x2.permute(0, 2, 3, 1)
        maps = [y for arrangement in self.arrangements for y in arrangement(x1, x2)]
        return self.fuse(torch.cat(maps, dim=3).permute(0, 3, 1, 2))
