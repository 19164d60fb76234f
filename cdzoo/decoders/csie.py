"""`csie`: channel-spatial information enhancement of GLMamba (Eq. 23-30).

Source: S. Liu et al., IEEE JSTARS 19 (2026), doi 10.1109/JSTARS.2026.3675679.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cdzoo.components import LevelDecoder
from cdzoo.errors import ConfigError
from cdzoo.layers import kaiming_init_
from cdzoo.names import check_known
from cdzoo.registry import register_decoder

INTERACTIONS = ("group", "spatial")


@register_decoder("csie")
class CSIE(LevelDecoder):
    """Weight each group of channels by the similarity of its global and local features; output = Conv1x1(weighted) + x.

    Per group X_g, global features are A_g = sigmoid(Conv1x1([mean over H; mean over W])) and local features are
    X_l = SE(DWConv3x3(X_g)). Groups have separate weights and are computed at once by grouped convolutions.

    Args:
        channels: Number of channels C of the level.
        groups: Number of groups; must divide C.
        interaction: `"group"` weights by sigmoid(GAP(A_g) . GAP(X_l)), one scalar per group and image, as in the equation of
            the paper; `"spatial"` by sigmoid(A_g(p) . X_l(p)) at every position p, as in its text.
        reduction: Reduction ratio of the hidden channels of the squeeze-and-excitation.

    Raises:
        ConfigError: An argument is out of range, or `interaction` is unknown.
    """

    is_local = False

    def __init__(self, channels: int, groups: int = 4, interaction: str = "group", reduction: int = 4) -> None:
        super().__init__(channels)
        if groups < 1 or channels % groups:
            raise ConfigError(f"decoder csie: {channels} channels are not divisible by {groups} groups")
        check_known("decoder csie: unknown interaction", interaction, INTERACTIONS)
        if reduction < 1:
            raise ConfigError(f"decoder csie: reduction must be at least 1, got {reduction}")
        self.groups = groups
        self.interaction = interaction
        hidden = max(1, channels // groups // reduction) * groups
        self.axes = nn.Conv2d(2 * channels, channels, 1, groups=groups)
        self.local = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.excite = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, groups=groups),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1, groups=groups),
            nn.Sigmoid(),
        )
        self.out = nn.Conv2d(channels, channels, 1)
        kaiming_init_(self)

    def forward(self, x: Tensor) -> Tensor:
        """Enhance a map (B, C, h, w); the output has the same shape."""
        batch, channels, height, width = x.shape
        split = (batch, self.groups, channels // self.groups)
        # Per group: [mean over H; mean over W], broadcast to the size of the map.
        means = torch.cat([x.mean(d, keepdim=True).expand_as(x).reshape(*split, height, width) for d in (2, 3)], dim=2)
        glob = self.axes(means.flatten(1, 2)).sigmoid().view(*split, height, width)
        local = self.local(x)
        local = (local * self.excite(local.mean((2, 3), keepdim=True))).view(*split, height, width)
        if self.interaction == "group":
            similarity = (glob.mean((3, 4), keepdim=True) * local.mean((3, 4), keepdim=True)).sum(2, keepdim=True)
        else:
            similarity = (glob * local).sum(2, keepdim=True)
        weighted = x.view(*split, height, width) * similarity.sigmoid()
        return self.out(weighted.flatten(1, 2)) + x
