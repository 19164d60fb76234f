"""`distance`: metric head of STANet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cdzoo.compatibility import check_one_level
from cdzoo.components import Head
from cdzoo.errors import ConfigError
from cdzoo.layers.resize import resize
from cdzoo.registry import register_head

_OFFSET = 1e-6
_SMALLEST = 1e-7


@register_head("distance")
class Distance(Head):
    """Euclidean distance of the dates in feature space, as a logit: log(d), where d is the norm of x2 - x1 over the channels.

    The input is the difference of the dates, such as the output of the fusions `diff`, `bam` and `pam`. The head has no
    parameters. STANet calls a pixel changed if d > 1. With the logit log(d), the probability of change of the task `binary` is
    the sigmoid d / (1 + d): 0 for equal features, 1/2 for d = 1, and 2/3 for the margin 2 of the loss `bcl`. Thus the default
    threshold of 0.5 is the official one, and a threshold t on the distance is t / (1 + t) on the probability. With two classes
    the logits are (0, log(d)), which give the same probability. The distance is resized bilinearly with aligned corners to the
    image; `exp` of the logit returns it.

    As in the official code, 1e-6 is added to each channel of x1 - x2. That code was written for a version of PyTorch whose
    `pairwise_distance` reduces the channels, and this head does so, too.

    Source: H. Chen, Z. Shi, "A Spatial-Temporal Attention-Based Method and a New Dataset for Remote Sensing Image Change
    Detection", Remote Sensing 12 (2020), doi 10.3390/rs12101662.

    Args:
        in_channels: Number of input channels of the one input level.
        in_strides: Stride of the input level.
        num_classes: 1 or 2.

    Raises:
        ConfigError: There are several levels, or more than two classes, which one distance does not tell apart.
    """

    is_local = False  # aligned corners: the grid depends on the size of the image

    def __init__(self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, num_classes: int = 1) -> None:
        super().__init__(in_channels, in_strides, num_classes)
        check_one_level("head distance", in_channels)
        if num_classes > 2:
            raise ConfigError(
                f'head distance: one distance does not tell {num_classes} classes apart; use another head, such as head="conv"'
            )

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, num_classes, H, W) for an image of `size` (H, W), float32."""
        distance = torch.linalg.vector_norm(features[0].float() - _OFFSET, dim=1, keepdim=True)
        logit = resize(distance, size, align_corners=True).clamp_min(_SMALLEST).log()
        return logit if self.num_classes == 1 else torch.cat([torch.zeros_like(logit), logit], dim=1)
