"""`snunet`: residual U-Net encoder of SNUNet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Backbone, Pyramid
from cdzoo.errors import ConfigError
from cdzoo.layers import kaiming_init_
from cdzoo.layers.residual_conv import ResidualConv
from cdzoo.registry import register_backbone

_MAX_STAGES = 6  # stride 32, the minimum size of an image


@register_backbone("snunet")
class SNUNetEncoder(Backbone):
    """Residual blocks at strides 1, 2, 4, 8, 16 with 2x2 max pooling between them; channels double at each.

    Source: S. Fang, K. Li, J. Shao, Z. Li, "SNUNet-CD: A Densely Connected Siamese Network for Change Detection of VHR Images",
    IEEE GRSL 19 (2022), doi 10.1109/LGRS.2021.3056416.

    Args:
        in_chans: Number of input channels.
        channels: Number of channels of the first stage.
        stages: Number of stages.
        last_date: Compute the coarsest level for the last date only, as in SNUNet, whose fusion ignores that of the others; it is
            returned for all dates.

    Raises:
        ConfigError: An argument is out of range.
    """

    is_local = True

    def __init__(self, in_chans: int = 3, channels: int = 32, stages: int = 5, last_date: bool = False) -> None:
        if channels < 1 or not 2 <= stages <= _MAX_STAGES:
            raise ConfigError(
                f"backbone snunet: channels must be at least 1 and stages from 2 to {_MAX_STAGES}, got {channels} and {stages}"
            )
        widths, names = [channels * 2**i for i in range(stages)], [f"stages.{i}" for i in range(stages)]
        super().__init__(in_chans, widths, [2**i for i in range(stages)], stages=names)
        self.last_date = last_date
        self.stages = nn.ModuleList(ResidualConv(a, b) for a, b in pairwise([in_chans, *widths]))
        kaiming_init_(self)

    def forward(self, x: Tensor) -> Pyramid:
        """Encode (B, in_chans, H, W); returns one map (B, C_i, H / s_i, W / s_i) per stage.

        With `last_date`, the coarsest level of stacked dates is that of the last one.
        """
        levels = [self.run_stage(self.stages[0], x)]
        for stage in self.stages[1:-1]:
            levels.append(self.run_stage(stage, F.max_pool2d(levels[-1], 2)))
        x, dates = levels[-1], self._num_dates
        if self.last_date:
            x = x[x.shape[0] // dates * (dates - 1) :]
            self._num_dates = 1  # for an exchange after the last stage, which sees one date only
        coarsest = self.run_stage(self.stages[-1], F.max_pool2d(x, 2))
        self._num_dates = dates  # for stages that are recomputed in the backward pass
        return [*levels, coarsest]

    def encode(self, images: Sequence[Tensor]) -> list[Pyramid]:
        """Encode the dates of a batch, see `Backbone.encode`."""
        if not self.last_date:
            return super().encode(images)
        batch, self._num_dates = images[0].shape[0], len(images)
        *finer, coarsest = self(torch.cat(list(images)))
        return [[*(level[i * batch : (i + 1) * batch] for level in finer), coarsest] for i in range(len(images))]
