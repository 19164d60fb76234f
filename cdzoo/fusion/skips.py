"""`skips`: the fusion of FC-Siam-Conc and FC-Siam-Diff."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cdzoo.components import Fusion
from cdzoo.errors import ConfigError
from cdzoo.names import suggest
from cdzoo.registry import register_fusion

_MODES: dict[str, tuple[int, Callable[[Tensor, Tensor], Tensor]]] = {
    "concat": (2, lambda x1, x2: torch.cat([x1, x2], dim=1)),
    "abs_diff": (1, lambda x1, x2: (x1 - x2).abs()),
}


@register_fusion("skips")
class Skips(Fusion):
    """Joins the dates at every level but the coarsest, of which the second date's map is taken alone.

    Source: R. C. Daudt, B. Le Saux, A. Boulch, "Fully convolutional Siamese networks for change detection", ICIP 2018, arXiv
    1810.08462. That the decoder starts from the second date only is how the authors' code works; it makes both networks
    depend on the order of the dates, even with `"abs_diff"`.

    Args:
        in_channels: Channels of each level, at least two levels.
        in_strides: Stride of each level.
        mode: `"concat"` (FC-Siam-Conc: first date, second date) or `"abs_diff"` (FC-Siam-Diff: |x1 - x2|).
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, mode: str = "abs_diff") -> None:
        if mode not in _MODES:
            raise ConfigError(f"skips: unknown mode '{mode}'.{suggest(mode, _MODES)} Modes: {', '.join(_MODES)}")
        if len(in_channels) < 2:
            raise ConfigError("skips needs at least two levels: a coarsest one and others; use the fusion 'concat' or 'abs_diff'")
        factor, self._join = _MODES[mode]
        *skips, coarsest = in_channels
        super().__init__(in_channels, in_strides, [*(factor * c for c in skips), coarsest])

    def forward(self, features1: list[Tensor], features2: list[Tensor]) -> list[Tensor]:
        """Join the two pyramids; sizes stay."""
        joined = [self._join(x1, x2) for x1, x2 in zip(features1[:-1], features2[:-1], strict=True)]
        return [*joined, features2[-1]]
