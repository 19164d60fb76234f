"""`csie`: the channel-spatial information enhancement of GLMamba (Eq. 23-30)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cdzoo.components import LevelDecoder
from cdzoo.errors import ConfigError
from cdzoo.layers import kaiming_init_
from cdzoo.registry import register_decoder

INTERACTIONS = ("group", "spatial")


@register_decoder("csie")
class CSIE(LevelDecoder):
    """Weights each group of channels by how far its global and its local view agree; output = Conv1x1(weighted) + x.

    Per group X_g: A_g = sigmoid(Conv1x1([mean over H; mean over W])) is the global view, X_l = SE(DWConv3x3(X_g)) the local one.
    All groups are computed at once by grouped convolutions; each has its own weights.

    Args:
        channels: Channels C of the level.
        groups: G; must divide C.
        interaction: `"group"`: sigmoid(GAP(A_g) . GAP(X_l)), one scalar per group and image, as the paper's formula says.
            `"spatial"`: sigmoid(A_g(p) . X_l(p)) at every position p, as its prose suggests.
        reduction: Divisor of the hidden width of the squeeze-and-excitation.
    """

    def __init__(self, channels: int, groups: int = 4, interaction: str = "group", reduction: int = 4) -> None:
        super().__init__(channels)
        if groups < 1 or channels % groups:
            raise ConfigError(f"csie: {channels} channels cannot be split into {groups} groups")
        if interaction not in INTERACTIONS:
            raise ConfigError(f"csie: interaction must be one of {', '.join(INTERACTIONS)}, got '{interaction}'")
        if reduction < 1:
            raise ConfigError(f"csie: reduction must be at least 1, got {reduction}")
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
        """Enhance (B, C, h, w); the shape stays."""
        batch, channels, height, width = x.shape
        split = (batch, self.groups, channels // self.groups)
        # Per group: [mean over H; mean over W], the means broadcast back to the map.
        means = torch.cat([x.mean(d, keepdim=True).expand_as(x).reshape(*split, height, width) for d in (2, 3)], dim=2)
        view = self.axes(means.flatten(1, 2)).sigmoid().view(*split, height, width)
        local = self.local(x)
        local = (local * self.excite(local.mean((2, 3), keepdim=True))).view(*split, height, width)
        if self.interaction == "group":
            agreement = (view.mean((3, 4), keepdim=True) * local.mean((3, 4), keepdim=True)).sum(2, keepdim=True)
        else:
            agreement = (view * local).sum(2, keepdim=True)
        weighted = x.view(*split, height, width) * agreement.sigmoid()
        return self.out(weighted.flatten(1, 2)) + x
