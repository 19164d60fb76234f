"""`deconv_up`: top-down decoder with transposed convolutions and addition, as in ChangeViT."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from cdzoo.compatibility import check_doubling
from cdzoo.components import Decoder
from cdzoo.registry import register_decoder


@register_decoder("deconv_up")
class DeconvUp(Decoder):
    """From coarse to fine: Conv1x1 to the channels of the next finer level, 2x transposed Conv4x4, addition to that level.

    Returns the finest level. H and W of the image are padded to multiples of the coarsest stride, so that upsampled maps have
    the size of the next finer level. There are no norms and activations.

    Source: D. Zhu et al., "ChangeViT", arXiv 2406.12847.

    Args:
        in_channels: Number of input channels per level; any number of levels.
        in_strides: Stride per level; each twice the previous one.

    Raises:
        ConfigError: The strides do not double.
    """

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int]) -> None:
        check_doubling("decoder deconv_up", in_strides)
        super().__init__(in_channels, in_strides, in_channels[:1], pad_multiple=max(in_strides))
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(coarse, fine, 1, bias=False), nn.ConvTranspose2d(fine, fine, 4, stride=2, padding=1))
            for fine, coarse in pairwise(in_channels)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into its finest level (B, C_1, h, w)."""
        *finer, x = features
        for level, up in reversed(list(zip(finer, self.ups, strict=True))):
            x = level + up(x)
        return [x]
