"""Deep supervision: weighted losses of coarse logits against the resized mask."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cdzoo.components import Head
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.objective import Objective
from cdzoo.losses import BCELoss


class Supervised(Head):
    """Head with logits on every level; the finest are those of the model."""

    def __init__(self, channels):
        super().__init__(channels)
        self.classify = nn.ModuleList(nn.Conv2d(c, 1, 1) for c in channels)
        self.auxiliary_weights = (0.5, 0.8)

    def forward(self, features, size):
        return F.interpolate(self.classify[0](features[0]), size=size, mode="bilinear")

    def auxiliary(self, features):
        return [self.classify[level](features[level]) for level in (3, 1)]


@pytest.mark.parametrize("size", [(64, 64), (50, 70)])
def test_the_objective_adds_the_weighted_coarse_losses(tiny, size):
    model = tiny()
    model = tiny(head=Supervised(model.decoder.out_channels))
    a, b, mask = torch.rand(2, 3, *size), torch.rand(2, 3, *size), (torch.rand(2, *size) > 0.6).long()
    objective = Objective(model, TrainCfg())
    model.eval()
    with torch.no_grad():
        loss = objective([a, b], {"mask": mask})
        t1, t2 = (
            (x - torch.tensor(model.config.mean).view(-1, 1, 1)) / torch.tensor(model.config.std).view(-1, 1, 1) for x in (a, b)
        )
        features = model.forward_features(t1, t2)
        expected = BCELoss()(model(t1, t2), mask)
        for weight, level in ((0.5, 3), (0.8, 1)):
            logits = model.head.classify[level](features[level])
            # The coarse maps cover the padded images: pixel i of a map of stride s lies at their pixel s * i.
            stride = model.backbone.out_strides[level]
            whole = torch.full((2, *(-(-length // 32) * 32 for length in size)), 255)
            whole[:, : size[0], : size[1]] = mask
            expected += weight * BCELoss()(logits, whole[:, ::stride, ::stride])
    torch.testing.assert_close(loss, expected)
    model.train()
    objective([a, b], {"mask": mask}).backward()
    assert all(p.grad is not None for level in (0, 1, 3) for p in model.head.classify[level].parameters())
