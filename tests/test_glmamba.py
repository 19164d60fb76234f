"""Components of GLMamba compared with plain implementations of the equations of the paper."""

import math

import pytest
import torch
import torch.nn.functional as F

from cdzoo.backbones.vss import PatchEmbed, PatchMerging, VSSBackbone
from cdzoo.decoders.csie import CSIE
from cdzoo.fusion.bfa import BFA
from cdzoo.heads.summation import Summation
from cdzoo.layers import CBAM, SS2D, VSSBlock
from cdzoo.necks.csam import CSAM, CrossScaleAggregation

PATHS = {
    "cross": [
        lambda h, w: [(i, j) for i in range(h) for j in range(w)],
        lambda h, w: [(i, j) for j in range(w) for i in range(h)],
        lambda h, w: [(i, j) for i in reversed(range(h)) for j in reversed(range(w))],
        lambda h, w: [(i, j) for j in reversed(range(w)) for i in reversed(range(h))],
    ],
    "corners": [
        lambda h, w: [(i, j) for i in range(h) for j in range(w)],
        lambda h, w: [(i, j) for i in reversed(range(h)) for j in reversed(range(w))],
        lambda h, w: [(i, j) for i in range(h) for j in reversed(range(w))],
        lambda h, w: [(i, j) for i in reversed(range(h)) for j in range(w)],
    ],
}


@pytest.mark.parametrize("scan", sorted(PATHS))
def test_ss2d_is_the_sum_of_four_sequential_scans(scan):
    channels, n, rank, height, width = 3, 2, 2, 4, 5
    module = SS2D(channels, n, rank, scan).double()
    with torch.no_grad():
        module.Ds.uniform_()
    x = torch.randn(2, height, width, channels, dtype=torch.double)
    a = -module.A_logs.exp().view(4, channels, n)
    skip = module.Ds.view(4, channels)
    expected = torch.zeros_like(x)
    for k, path in enumerate(PATHS[scan]):
        for b in range(2):
            state = torch.zeros(channels, n, dtype=torch.double)
            for i, j in path(height, width):
                u = x[b, i, j]
                dt, bt, ct = (module.x_proj_weight[k] @ u).split([rank, n, n])
                dt = F.softplus(module.dt_projs_weight[k] @ dt + module.dt_projs_bias[k])
                state = torch.exp(dt[:, None] * a[k]) * state + dt[:, None] * bt[None] * u[:, None]
                expected[b, i, j] += state @ ct + skip[k] * u
    torch.testing.assert_close(module(x), expected)


def test_ss2d_has_the_initialization_of_mamba():
    module = SS2D(64, 16, 4)
    torch.testing.assert_close(module.A_logs.exp(), torch.arange(1.0, 17).expand(256, 16))
    assert (module.Ds == 1).all()
    dt = F.softplus(module.dt_projs_bias)
    assert 1e-3 * 0.99 <= dt.min() and dt.max() <= 1e-1 * 1.01
    assert dt.log().std() > 0.5 * (math.log(1e-1) - math.log(1e-3)) / math.sqrt(12), "not log-uniform"
    assert module.dt_projs_weight.abs().max() <= 4**-0.5
    # The Kaiming initialization of other components must not modify the backbone.
    import cdzoo

    backbone = cdzoo.create_model("glmamba_tiny").backbone
    assert all((m.dt_projs_bias != 0).all() for m in backbone.modules() if isinstance(m, SS2D))


def test_patch_merging_order():
    merge = PatchMerging(1)
    inputs = []
    merge.norm.register_forward_pre_hook(lambda _m, args: inputs.append(args[0]))
    merge(torch.tensor([[0.0, 1.0], [2.0, 3.0]]).view(1, 2, 2, 1))
    assert inputs[0].flatten().tolist() == [0.0, 2.0, 1.0, 3.0]  # (0, 0), (1, 0), (0, 1), (1, 1)
    assert merge(torch.randn(1, 5, 3, 1)).shape == (1, 3, 2, 2)


def test_vss_block_is_gated():
    block = VSSBlock(8, d_state=2, expand=2, scan="cross", drop_path=0.0)
    x = torch.randn(2, 5, 6, 8)
    u, z = block.in_proj(F.layer_norm(x, (8,), block.norm.weight, block.norm.bias)).split(16, dim=-1)
    u = block.conv(u.permute(0, 3, 1, 2))
    u = (u * u.sigmoid()).permute(0, 2, 3, 1)
    y = block.out_norm(block.ss2d(u)) * (z * z.sigmoid())
    torch.testing.assert_close(block(x), x + y @ block.out_proj.weight.T)


def test_backbone_pyramid_and_stochastic_depth():
    backbone = VSSBackbone(channels=8, depths=[1, 2, 1, 1], d_state=2, drop_path=0.2)
    assert backbone.out_channels == (8, 16, 32, 64) and backbone.out_strides == (4, 8, 16, 32)
    assert [f.shape for f in backbone(torch.randn(1, 3, 64, 96))] == [
        (1, 8, 16, 24),
        (1, 16, 8, 12),
        (1, 32, 4, 6),
        (1, 64, 2, 3),
    ]
    rates = [getattr(m.drop_path, "drop_prob", 0.0) for m in backbone.modules() if isinstance(m, VSSBlock)]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert isinstance(backbone.patch_embed, PatchEmbed) and backbone.patch_embed.proj.kernel_size == (4, 4)


def _cbr(block, x):
    conv, norm = block[0], block[1]
    x = F.conv2d(x, conv.weight, conv.bias, padding=conv.padding)
    return F.relu(F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False))


def _randomize_norms(module):
    """Randomize statistics and affine parameters of all batch norms, so that a missing one changes the output."""
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean, -1, 1)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)
            torch.nn.init.uniform_(layer.weight, 0.5, 2)
            torch.nn.init.uniform_(layer.bias, -1, 1)
    return module.eval()


def test_csam_formula():
    unit = _randomize_norms(CrossScaleAggregation(4, 8, 16))
    f1, f2, f3 = torch.randn(2, 4, 12, 16), torch.randn(2, 8, 6, 8), torch.randn(2, 16, 3, 4)
    a = _cbr(unit.fine[1], F.max_pool2d(f1, 2))
    b = _cbr(unit.same, f2)
    c = _cbr(unit.coarse[1], unit.coarse[0](f3))
    c = F.interpolate(c, scale_factor=2, mode="bilinear", align_corners=False)
    expected = F.relu(_cbr(unit.merge, torch.cat([a, b, c], 1)) + unit.shortcut(f2))
    torch.testing.assert_close(unit(f1, f2, f3), expected)


def test_csam_refines_inner_levels_from_backbone_levels():
    neck = _randomize_norms(CSAM([4, 8, 16, 32], [4, 8, 16, 32]))
    features = [torch.randn(1, 4 * 2**i, 32 // 2**i, 32 // 2**i) for i in range(4)]
    out = neck(features)
    assert out[0] is features[0] and out[3] is features[3]
    torch.testing.assert_close(out[1], neck.merges[0](*features[:3]))
    torch.testing.assert_close(out[2], neck.merges[1](*features[1:]))  # from features[1], not from out[1]


@pytest.mark.parametrize("norm", [True, False])
def test_cbam_formula(norm):
    cbam = _randomize_norms(CBAM(32, norm=norm))
    x_in = x = torch.randn(2, 32, 5, 7)
    channel, spatial = cbam
    first, second = channel.mlp[0], channel.mlp[2]
    assert first.out_channels == 2 and first.bias is not None and second.bias is not None

    def mlp(v):
        w1, w2 = first.weight[:, :, 0, 0], second.weight[:, :, 0, 0]
        return F.relu(v @ w1.T + first.bias) @ w2.T + second.bias

    x = x * torch.sigmoid(mlp(x.mean((2, 3))) + mlp(x.flatten(2).max(2).values))[:, :, None, None]
    w = F.conv2d(torch.stack([x.mean(1), x.max(1).values], 1), spatial.conv.weight, padding=3)
    if norm:
        n = spatial.norm
        w = F.relu(F.batch_norm(w, n.running_mean, n.running_var, n.weight, n.bias))
    assert spatial.conv.bias is None and spatial.conv.kernel_size == (7, 7)
    torch.testing.assert_close(cbam(x_in), x * w.sigmoid())


def test_cbam_hidden_width_is_at_least_one():
    assert CBAM(8)[0].mlp[0].out_channels == 1


def test_bfa_formula():
    fuse = _randomize_norms(BFA(8))
    x1, x2 = torch.randn(2, 8, 5, 7), torch.randn(2, 8, 5, 7)
    both = torch.cat([x1, x2], 1)
    expected = fuse.difference(x2 - x1) + _cbr(fuse.combination[1], _cbr(fuse.combination[0], both))
    torch.testing.assert_close(fuse(x1, x2), expected)
    assert fuse.combination[0][0].weight.shape == (16, 16, 3, 3) and fuse.combination[1][0].weight.shape == (8, 16, 1, 1)


@pytest.mark.parametrize("interaction", ["group", "spatial"])
def test_csie_formula_group_by_group(interaction):
    channels, groups = 16, 4
    unit = CSIE(channels, groups, interaction).eval()
    for p in unit.parameters():
        torch.nn.init.normal_(p, std=0.5)
    x = torch.randn(2, channels, 5, 7)
    c, hidden = channels // groups, unit.excite[0].out_channels // groups
    weighted = []
    for g in range(groups):
        group = slice(g * c, (g + 1) * c)
        inner = slice(g * hidden, (g + 1) * hidden)
        xg = x[:, group]
        xh = xg.mean(2, keepdim=True).expand_as(xg)
        xw = xg.mean(3, keepdim=True).expand_as(xg)
        ag = F.conv2d(torch.cat([xh, xw], 1), unit.axes.weight[group], unit.axes.bias[group]).sigmoid()
        xl = F.conv2d(xg, unit.local.weight[group], unit.local.bias[group], padding=1, groups=c)
        se = F.relu(F.conv2d(xl.mean((2, 3), keepdim=True), unit.excite[0].weight[inner], unit.excite[0].bias[inner]))
        xl = xl * F.conv2d(se, unit.excite[2].weight[group], unit.excite[2].bias[group]).sigmoid()
        if interaction == "group":
            a = (ag.mean((2, 3)) * xl.mean((2, 3))).sum(1).sigmoid()[:, None, None, None]
        else:
            a = (ag * xl).sum(1, keepdim=True).sigmoid()
        weighted.append(xg * a)
    expected = unit.out(torch.cat(weighted, 1)) + x
    torch.testing.assert_close(unit(x), expected)


def test_summation_formula():
    head = _randomize_norms(Summation([4, 8, 16], num_classes=1))
    features = [torch.randn(2, 4, 12, 16), torch.randn(2, 8, 6, 8), torch.randn(2, 16, 3, 4)]
    l1, l2, l3 = (lateral(f) for lateral, f in zip(head.laterals, features, strict=True))

    def up(x, size):
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)

    total = up(l1 + up(l2 + up(l3, (6, 8)), (12, 16)), (48, 64))
    assert head.smooth[0].out_channels == 2
    torch.testing.assert_close(head(features, (48, 64)), head.classify(_cbr(head.smooth, total)))


def test_cross_attention_shares_weights_and_limits_tokens():
    from cdzoo.fusion.cross_attention import CrossAttention

    fuse = CrossAttention(8, head_channels=4, tokens=16).eval()
    x1, x2 = torch.randn(1, 8, 12, 12), torch.randn(1, 8, 12, 12)
    n1, n2 = fuse.norm(x1), fuse.norm(x2)
    key_value = fuse.key_value(F.adaptive_avg_pool2d(n2, 4)).flatten(2)  # (1, 16, 16 tokens)
    query = fuse.query(n1).flatten(2)
    heads = []
    for h in range(2):
        q, k, v = (t[0, o + 4 * h : o + 4 * h + 4] for t, o in ((query, 0), (key_value, 0), (key_value, 8)))
        heads.append(v @ torch.softmax(q.T @ k / 2, dim=-1).T)
    expected = fuse.out(torch.cat(heads).view(1, 8, 12, 12))
    torch.testing.assert_close(fuse._attend(n1, n2), expected)


def test_bfloat16_autocast():
    import cdzoo

    model = cdzoo.create_model("glmamba_tiny").eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        full = model(image, image.flip(-1))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(image, image.flip(-1))
    assert torch.isfinite(half).all()
    assert (half.float() - full).abs().max() < 0.1 * full.abs().max()
