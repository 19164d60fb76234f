"""Layers against plain formulas."""

import pytest
import torch
from torch.export import Dim

from cdzoo.backbones.swin import SwinBlock
from cdzoo.layers.class_logits import class_logits
from cdzoo.layers.criss_cross import CrissCrossAttention
from cdzoo.layers.instance_norm import InstanceNorm
from cdzoo.layers.msd_conv import CyclicConv
from cdzoo.layers.pooling import pool_to
from cdzoo.layers.resize import resize
from cdzoo.necks import VSSNeck


@pytest.mark.parametrize(("height", "width"), [(3, 5), (4, 1), (1, 4)])
def test_criss_cross_attention_sees_the_row_and_the_column(height, width):
    layer = CrissCrossAttention(8, reduction=4)
    torch.nn.init.constant_(layer.gamma, 0.7)
    x = torch.randn(2, 8, height, width)
    with torch.no_grad():
        q, k, v, found = layer.query(x), layer.key(x), layer.value(x), layer(x)
    for sample in range(2):
        for i in range(height):
            for j in range(width):
                cross = [(row, j) for row in range(height) if row != i] + [(i, column) for column in range(width)]
                weights = torch.stack([(q[sample, :, i, j] * k[sample, :, r, c]).sum() for r, c in cross]).softmax(0)
                y = sum(weight * v[sample, :, r, c] for weight, (r, c) in zip(weights, cross, strict=True))
                torch.testing.assert_close(found[sample, :, i, j], x[sample, :, i, j] + 0.7 * y)


def test_instance_norm_of_single_pixels_is_zero_and_of_others_that_of_torch():
    x = torch.randn(2, 3, 4, 5, requires_grad=True)
    assert torch.equal(InstanceNorm(3)(x), torch.nn.InstanceNorm2d(3)(x))
    y = InstanceNorm(3)(x[..., :1, :1])
    y.sum().backward()
    assert not y.any() and x.grad is not None


def test_class_logits_keep_the_probability_of_change():
    change = torch.randn(2, 1, 3, 4)
    assert class_logits(change, 1) is change
    for classes in (2, 4):
        probabilities = class_logits(change, classes).softmax(1)
        torch.testing.assert_close(1 - probabilities[:, :1], change.sigmoid())
        torch.testing.assert_close(probabilities[:, 1], probabilities[:, -1])


def test_cyclic_convolution_is_the_sum_of_three_and_trains_no_masked_weight():
    layer, x = CyclicConv(16), torch.randn(2, 16, 7, 9)
    assert not layer.conv.weight[layer.mask.expand_as(layer.conv.weight)].any()
    exchanged = torch.cat([x[:, [4 * g + 2, 4 * g + 3, 4 * g, 4 * g + 1]] for g in range(4)], dim=1)
    expected = layer.dilated(x) + layer.conv(x) + layer.shifted(exchanged)
    torch.testing.assert_close(layer(x), expected)
    layer(x).square().sum().backward()
    trained = layer.conv.weight.grad != 0
    assert torch.equal(trained.all(dim=(2, 3)), ~layer.mask[..., 0, 0]) and trained.sum() == 16 * 2 * 9


class Pooled(torch.nn.Module):
    def forward(self, x):
        return x + sum(resize(pool_to(x, (side, side + 1)), x.shape[-2:]) for side in (1, 3, 6))


@pytest.mark.parametrize("size", [(6, 7), (9, 14), (12, 6)])
def test_a_program_pools_maps_of_other_sizes_than_that_of_its_example(size):
    sides = {2: Dim("height", min=2), 3: Dim("width", min=2)}
    program = torch.export.export(Pooled(), (torch.randn(2, 3, 8, 11),), dynamic_shapes=(sides,), strict=False).module()
    x = torch.randn(2, 3, *size)
    torch.testing.assert_close(program(x), Pooled()(x))


@pytest.mark.parametrize("shift", [0, 2])
def test_a_program_attends_in_windows_of_maps_of_other_sizes_than_that_of_its_example(shift):
    block = SwinBlock(8, 2, 5, shift, 2.0, 0.0).eval()
    sides = {1: 2 * Dim("rows", min=3), 2: 2 * Dim("columns", min=3)}
    with torch.no_grad():
        program = torch.export.export(block, (torch.randn(1, 8, 14, 8),), dynamic_shapes=(sides,), strict=False).module()
        for height, width in ((6, 16), (10, 20)):
            x = torch.randn(1, height, width, 8)
            torch.testing.assert_close(program(x), block(x))


def test_the_neck_vss_scans_the_coarsest_levels_only():
    torch.manual_seed(0)
    neck = VSSNeck([4, 8, 12], levels=2, d_state=2).eval()
    features = [torch.randn(2, channels, 11 - channels // 2, 7) for channels in (4, 8, 12)]
    outputs = neck(features)
    assert outputs[0] is features[0]
    for block, x, y in zip(neck.blocks, features[1:], outputs[1:], strict=True):
        torch.testing.assert_close(y, block[0](x.movedim(1, -1)).movedim(-1, 1))
        assert (y - x).abs().max() > 1e-4
    moved = [*features[:2], features[2].clone()]
    moved[2][:, 0, 0, 0] += 9  # seen at the other end of the map
    assert not torch.equal(neck(moved)[2][..., -1, -1], outputs[2][..., -1, -1])
