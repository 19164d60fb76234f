"""Components of ICIF-Net compared with plain implementations of the equations."""

import math

import torch
import torch.nn.functional as F

from cdzoo.layers.cross_interaction import CrossInteraction, FactorizedAttention
from cdzoo.layers.gated_merge import GatedMerge
from cdzoo.layers.position_code import PositionCode


def test_position_code_of_rows_and_columns():
    code = PositionCode(12)(torch.zeros(1, 12, 5, 7))[0]
    for i in range(5):
        for j in range(7):
            for n in range(3):
                frequency = 10000 ** (-2 * n / 6)
                expected = [math.sin(i * frequency), math.cos(i * frequency), math.sin(j * frequency), math.cos(j * frequency)]
                torch.testing.assert_close(code[[n, 3 + n, 6 + n, 9 + n], i, j], torch.tensor(expected), atol=1e-5, rtol=1e-5)
    assert PositionCode(5)(torch.zeros(1, 5, 2, 3)).shape == (1, 5, 2, 3)


def test_factorized_attention_head_by_head():
    attention = FactorizedAttention(16)
    query, key, value = torch.randn(3, 1, 16, 4, 6).unbind()
    kernels = [(conv.weight, conv.bias) for conv in attention.positions]
    assert [tuple(weight.shape) for weight, _ in kernels] == [(4, 1, 3, 3), (6, 1, 5, 5), (6, 1, 7, 7)]
    local = torch.cat(
        [
            F.conv2d(value[:, start : start + len(bias)], weight, bias, padding=weight.shape[-1] // 2, groups=len(bias))
            for start, (weight, bias) in zip((0, 4, 10), kernels, strict=True)
        ],
        1,
    )
    heads = []
    for head in range(8):
        q, k, v = (x[0, 2 * head : 2 * head + 2].flatten(1) for x in (query, key, value))  # (2, 24)
        heads.append((torch.softmax(k, 1) @ v.T).T @ q / 2**0.5)
    y = torch.cat(heads).view(1, 16, 4, 6) + query * local
    expected = (y.permute(0, 2, 3, 1) @ attention.out.weight.T + attention.out.bias).permute(0, 3, 1, 2)
    torch.testing.assert_close(attention(query, key, value), expected)


def test_features_attend_to_each_other():
    unit = CrossInteraction(6, 8).eval()
    conv, transformer = torch.randn(1, 6, 4, 5), torch.randn(1, 8, 4, 5)

    def project(features, x):
        code, *layers = features
        return torch.nn.Sequential(*layers)(code(x)).permute(0, 2, 3, 1) @ unit.qkv.weight.T + unit.qkv.bias

    (q1, k1, v1), (q2, k2, v2) = (
        project(features, x).permute(0, 3, 1, 2).chunk(3, 1)
        for features, x in ((unit.conv, conv), (unit.transformer, transformer))
    )
    joined, first, second = unit(conv, transformer)
    torch.testing.assert_close(first, unit.attention(q2, k1, v1))
    torch.testing.assert_close(second, unit.attention(q1, k2, v2))
    torch.testing.assert_close(joined, unit.join(torch.cat([first, second], 1)))
    assert joined.shape == (1, 6, 4, 5)


def test_gated_merge_formula():
    merge = GatedMerge(4, 6).eval()
    level, coarser = torch.randn(1, 4, 6, 10), torch.randn(1, 6, 3, 5)
    up = F.interpolate(coarser, scale_factor=2, mode="bilinear", align_corners=True)
    gate = torch.sigmoid(merge.gate(F.relu(merge.gate_coarse(up) + merge.gate_fine(level))))
    both = torch.cat([gate * level, up], 1)
    assert gate.shape == (1, 1, 6, 10)
    torch.testing.assert_close(merge(level, coarser), F.relu(merge.convs(both) + merge.shortcut(both)))
