"""`skips`: fusion of FC-Siam-Conc and FC-Siam-Diff."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cdzoo.components import Fusion
from cdzoo.errors import ConfigError
from cdzoo.names import check_known
from cdzoo.registry import register_fusion

_MODES: dict[str, tuple[int, Callable[[Tensor, Tensor], Tensor]]] = {
    "concat": (2, lambda x1, x2: torch.cat([x1, x2], dim=1)),
    "abs_diff": (1, lambda x1, x2: (x1 - x2).abs()),
}


@register_fusion("skips")
class Skips(Fusion):
    """Combine the dates at every level except the coarsest, where the map of the second date is returned.

    As in the official code, the decoder starts from the second date only, so the output depends on the order of the dates for
    both modes. SNUNet uses the mode "concat".

    Source: R. C. Daudt, B. Le Saux, A. Boulch, "Fully convolutional Siamese networks for change detection", ICIP 2018, arXiv
    1810.08462.

    Args:
        in_channels: Number of input channels per level, at least two levels.
        in_strides: Stride per level.
        mode: `"concat"` for [x1; x2] (FC-Siam-Conc) or `"abs_diff"` for |x1 - x2| (FC-Siam-Diff).

    Raises:
        ConfigError: `mode` is unknown, or there is only one level.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, mode: str = "abs_diff") -> None:
        check_known("fusion skips: unknown mode", mode, _MODES)
        if len(in_channels) < 2:
            raise ConfigError("fusion skips needs at least two levels; use the fusion 'concat' or 'abs_diff'")
        factor, _ = _MODES[mode]
        self.mode = mode
        *skips, coarsest = in_channels
        super().__init__(in_channels, in_strides, [*(factor * c for c in skips), coarsest])

    def forward(self, features1: list[Tensor], features2: list[Tensor]) -> list[Tensor]:
        """Fuse the pyramids of the two dates; spatial sizes are unchanged."""
        _, combine = _MODES[self.mode]  # looked up here: lambdas cannot be pickled
        skips = [combine(x1, x2) for x1, x2 in zip(features1[:-1], features2[:-1], strict=True)]
        return [*skips, features2[-1]]
