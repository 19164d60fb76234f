"""`early`: early fusion, concatenation of the images before the backbone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cdzoo.components import Fusion
from cdzoo.registry import register_fusion


@register_fusion("early")
class Early(Fusion):
    """Early fusion: the detector concatenates the channels of both dates, in order, and encodes them as one image.

    The resulting pyramid is returned unchanged.

    Source: R. C. Daudt, B. Le Saux, A. Boulch, "Fully convolutional Siamese networks for change detection", ICIP 2018, arXiv
    1810.08462 (FC-EF).

    Args:
        in_channels: Number of channels per level.
        in_strides: Stride per level.
    """

    num_dates = 1

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None) -> None:
        super().__init__(in_channels, in_strides)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return `features`."""
        return features
