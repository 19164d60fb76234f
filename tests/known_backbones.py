"""Backbones with a known receptive field."""

import torch

from cdzoo.components import Backbone


class Pixels(Backbone):
    """Returns the bands unchanged."""

    def __init__(self, bands=3):
        super().__init__(bands, [bands], [1])

    def forward(self, x):
        return [x]


class Convolutions(Backbone):
    """Two strided convolutions and one with stride 1; the receptive field is 15 pixels in each direction."""

    def __init__(self):
        super().__init__(3, [8], [4])
        layers = [torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.GELU(), torch.nn.Conv2d(8, 8, 3, 2, 1), torch.nn.GELU()]
        self.layers = torch.nn.Sequential(*layers, torch.nn.Conv2d(8, 8, 3, 1, 1))

    def forward(self, x):
        return [self.layers(x)]
