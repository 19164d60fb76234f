"""Components of Changer compared with plain implementations."""

import math

import pytest
import torch
import torch.nn.functional as F

from cdzoo.fusion.fdaf import FDAF, warp
from cdzoo.layers.mlp_fuse import MLPFuse


def _sample(x, row, column):
    """Sample a map (C, h, w) bilinearly at a fractional position; zero outside."""
    total = torch.zeros(len(x), dtype=x.dtype)
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < x.shape[1] and 0 <= j < x.shape[2]:
                total += x[:, i, j] * (1 - abs(row - i)) * (1 - abs(column - j))
    return total


@pytest.mark.parametrize("size", [(4, 7), (5, 3)])
def test_fdaf_pixel_by_pixel(size):
    height, width = size
    fuse = FDAF(3).double()
    for p in fuse.parameters():
        torch.nn.init.normal_(p)
    x1, x2 = torch.randn(2, 1, 3, *size, dtype=torch.double)
    both = torch.cat([x1, x2], 1)
    first, last = fuse.flow[0], fuse.flow[3]
    y = F.conv2d(both, first.weight, first.bias, padding=2, groups=6)[0]
    y = (y - y.mean((1, 2), keepdim=True)) / (y.var((1, 2), unbiased=False, keepdim=True) + 1e-5).sqrt()
    y = y * (1 + torch.erf(y / 2**0.5)) / 2
    flow = torch.einsum("oc,chw->ohw", last.weight[:, :, 0, 0], y)
    expected = torch.empty(6, height, width, dtype=torch.double)
    for i in range(height):
        for j in range(width):
            for date, (own, other) in enumerate(((x1[0], x2[0]), (x2[0], x1[0]))):
                along_x, along_y = flow[2 * date : 2 * date + 2, i, j].tolist()
                column = j + along_x / width * (width - 1) / 2  # -1 and 1 are the centers of the outer pixels
                row = i + along_y / height * (height - 1) / 2
                expected[3 * date : 3 * date + 3, i, j] = _sample(own, row, column) - other[:, i, j]
    torch.testing.assert_close(fuse(x1, x2)[0], expected)


def test_warp_without_flow_is_the_identity_also_of_single_pixels():
    for size in ((1, 1), (1, 4), (6, 5)):
        x = torch.randn(2, 3, *size)
        torch.testing.assert_close(warp(x, torch.zeros(2, 2, *size)), x)


def test_mlp_fuse_formula():
    fuse = MLPFuse([2, 3], 4, 5).eval()
    fine, coarse = torch.randn(1, 2, 8, 12), torch.randn(1, 3, 2, 3)
    resized = F.interpolate(fuse.levels[1](coarse), (8, 12), mode="bilinear")
    expected = torch.cat([fuse.levels[0](fine), resized], 1)
    torch.testing.assert_close(fuse([fine, coarse]), fuse.join(expected))
    assert fuse.join[0].weight.shape == (5, 8, 1, 1)
