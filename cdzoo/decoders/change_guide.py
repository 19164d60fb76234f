"""`change_guide`: decoder of CGNet, guided by a coarse change map.

Source: C. Han, C. Wu, H. Guo, M. Hu, J. Li, H. Chen, "Change Guiding Network: Incorporating Change Prior to Guide Change
Detection in Remote Sensing Imagery", IEEE JSTARS 16 (2023), doi 10.1109/JSTARS.2023.3310208.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdzoo.compatibility import check_several_levels
from cdzoo.components import Decoder
from cdzoo.layers import ConvBNReLU, PositionAttention, kaiming_init_, prior_init_
from cdzoo.layers.resize import resize
from cdzoo.registry import register_decoder

_GUIDE_CHANNELS = 64


@register_decoder("change_guide")
class ChangeGuide(Decoder):
    """From coarse to fine: guided attention, upsampling, concatenation with the next finer level, Conv3x3-BN-ReLU.

    The guide is one logit of change at the size of the finest level, computed from the coarsest level. The attention of a level
    is that of all positions, with queries, keys and values multiplied by 1 + sigmoid(guide). Its memory grows with the square of
    the number of pixels of the second finest level. Upsampling is bilinear with aligned corners. Returns the finest level, which
    has no attention.

    Args:
        in_channels: Number of input channels C_i per level, at least two levels.
        in_strides: Stride per level.
        return_guide: Return the guide as a second level of one channel at the stride of the finest, for the deep supervision of
            the head `guided`.

    Raises:
        ConfigError: There is only one level.
    """

    is_local = False

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, return_guide: bool = False) -> None:
        check_several_levels("decoder change_guide", in_channels)
        outputs = 2 if return_guide else 1
        strides = None if in_strides is None else [in_strides[0]] * outputs
        super().__init__(in_channels, in_strides, [in_channels[0], 1][:outputs], strides)
        self.return_guide = return_guide
        classify = nn.Conv2d(_GUIDE_CHANNELS, 1, 3, padding=1)
        self.guide = nn.Sequential(ConvBNReLU(in_channels[-1], _GUIDE_CHANNELS), classify)
        self.attentions = nn.ModuleList(PositionAttention(c, scaled=False) for c in in_channels[1:])
        self.merges = nn.ModuleList(ConvBNReLU(in_channels[i + 1] + c, c) for i, c in enumerate(in_channels[:-1]))
        kaiming_init_(self)
        prior_init_(classify)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into its finest level (B, C_1, h, w), and optionally the guide (B, 1, h, w)."""
        *finer, x = features
        guide = self.guide(resize(x, features[0].shape[-2:], align_corners=True))
        for level, attention, merge in reversed(list(zip(finer, self.attentions, self.merges, strict=True))):
            x = attention(x, 1 + resize(guide, x.shape[-2:], align_corners=True).sigmoid())
            x = merge(torch.cat([resize(x, level.shape[-2:], align_corners=True), level], dim=1))
        return [x, guide] if self.return_guide else [x]
