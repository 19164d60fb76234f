"""`supervised_attention`: top-down decoder whose coarser levels are weighted by supervised masks, as in A2Net.

Source: Z. Li et al., "Lightweight Remote Sensing Change Detection With Progressive Feature Aggregation and Supervised Attention",
IEEE TGRS 61 (2023), doi 10.1109/TGRS.2023.3241436.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdzoo.components import Decoder
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU
from cdzoo.layers.resize import resize
from cdzoo.registry import register_decoder


class SupervisedAttention(nn.Module):
    """ConvBNReLU3x3(x * ConvBNReLU1x1([p; 1 - p])) with the mask p = sigmoid(m), m = Conv1x1(x).

    Args:
        channels: Number of input and output channels C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.classify = nn.Conv2d(channels, 1, 1)
        self.context = ConvBNReLU(2, channels, 1, bias=True)
        self.refine = ConvBNReLU(channels, channels, bias=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted map (B, C, h, w) and the logit m (B, 1, h, w) of the mask."""
        logit = self.classify(x)
        mask = logit.sigmoid()
        return self.refine(x * self.context(torch.cat([mask, 1 - mask], dim=1))), logit


@register_decoder("supervised_attention")
class SupervisedAttentionDecoder(Decoder):
    """From coarse to fine: supervised attention, bilinear upsampling, addition to the next finer level, Conv3x3-BN-ReLU.

    Levels with another number of channels are projected by Conv1x1 first. Returns the finest level, which has no attention.

    Args:
        in_channels: Number of input channels per level, at least two levels.
        in_strides: Stride per level.
        channels: Number of output channels. Default: those of the finest level.
        return_masks: Also return the logit of the mask of every coarser level as a level of one channel, for the head
            `("deep_supervision", {"side_logits": True})`.

    Raises:
        ConfigError: There is only one level, or `channels` is below 1.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        channels: int | None = None,
        return_masks: bool = False,
    ) -> None:
        channels = in_channels[0] if channels is None else channels
        if len(in_channels) < 2 or channels < 1:
            raise ConfigError(
                f"decoder supervised_attention needs at least two levels and one channel, got {len(in_channels)} levels and "
                f"{channels} channels"
            )
        coarser = len(in_channels) - 1
        masks = coarser if return_masks else 0
        super().__init__(in_channels, in_strides, [channels] + [1] * masks)
        self.laterals = nn.ModuleList(nn.Identity() if c == channels else nn.Conv2d(c, channels, 1) for c in in_channels)
        self.smooth = nn.ModuleList(ConvBNReLU(channels, channels, bias=True) for _ in range(coarser))
        self.attention = nn.ModuleList(SupervisedAttention(channels) for _ in range(coarser))
        self.return_masks = return_masks

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge the pyramid into one map (B, channels, h, w) of the size of its finest level; masks follow, finest first."""
        *finer, x = [lateral(level) for lateral, level in zip(self.laterals, features, strict=True)]
        masks: list[Tensor] = []
        for level, smooth, attention in reversed(list(zip(finer, self.smooth, self.attention, strict=True))):
            x, mask = attention(x)
            masks.insert(0, mask)
            x = smooth(level + resize(x, level.shape[-2:]))
        return [x, *masks] if self.return_masks else [x]
