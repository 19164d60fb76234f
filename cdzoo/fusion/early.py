"""`early`: the dates meet before the backbone, as bands of one image."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cdzoo.components import Fusion
from cdzoo.registry import register_fusion


@register_fusion("early")
class Early(Fusion):
    """One image of the bands of both dates, the first date's first, goes through the backbone and the neck once.

    There is nothing left to fuse after them, so the pyramid passes through. Source: R. C. Daudt, B. Le Saux, A. Boulch,
    "Fully convolutional Siamese networks for change detection", ICIP 2018, arXiv 1810.08462 (FC-EF).

    Args:
        in_channels: Channels of each level.
        in_strides: Stride of each level.
    """

    num_dates = 1

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None) -> None:
        super().__init__(in_channels, in_strides)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the pyramid of the joined dates as it is."""
        return features
