"""`deep_supervision`: a classifier on every level, the head of IFN and A2Net."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.components import Head
from cdzoo.errors import ConfigError
from cdzoo.layers import prior_init_
from cdzoo.layers.class_logits import class_logits
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head


@register_head("deep_supervision")
class DeepSupervision(Head):
    """Conv1x1 on every level; the finest gives the output, the others are supervised in training with the same weight.

    Each coarser level is compared with the target downsampled to its size. The logits of the finest level are resized bilinearly
    to the image. With `side_logits`, as in A2Net, coarser levels are logits of change themselves, and are compared at image size.

    Source: C. Zhang et al., "A deeply supervised image fusion network for change detection in high resolution bi-temporal remote
    sensing images", ISPRS J. Photogramm. Remote Sens. 166 (2020), doi 10.1016/j.isprsjprs.2020.06.003.

    Args:
        in_channels: Number of input channels per level, finest first.
        in_strides: Stride per level.
        num_classes: Number of output channels.
        side_logits: The coarser levels have one channel, a logit of change, and are not classified.

    Raises:
        ConfigError: With `side_logits`, a coarser level has several channels.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        num_classes: int = 1,
        side_logits: bool = False,
    ) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        if side_logits and any(c != 1 for c in in_channels[1:]):
            raise ConfigError(
                f"head deep_supervision: side_logits needs coarser levels of one channel, got channels {tuple(in_channels)}; use "
                'decoder=("supervised_attention", {"return_masks": True})'
            )
        self.side_logits = side_logits
        self.classify = nn.ModuleList(nn.Conv2d(c, num_classes, 1) for c in (in_channels[:1] if side_logits else in_channels))
        self.auxiliary_weights = (1.0,) * (len(in_channels) - 1)
        for layer in self.classify:
            prior_init_(layer)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W)."""
        return resize(self.classify[0](features[0]), size)

    def auxiliary(self, features: list[Tensor]) -> list[Tensor]:
        """Return logits of every level but the finest, coarsest first: at the size of the level, or at image size."""
        if self.side_logits:
            stride = self.in_strides[0] if self.in_strides else 1
            size = [stride * side for side in features[0].shape[-2:]]
            return [class_logits(resize(level, size), self.num_classes) for level in reversed(features[1:])]
        coarser = list(zip(self.classify, features, strict=True))[1:]
        return [classify(level) for classify, level in reversed(coarser)]
