"""Components of SNUNet compared with plain implementations of the equations."""

import pytest
import torch
import torch.nn.functional as F

import cdzoo
from cdzoo.backbones.snunet import SNUNetEncoder
from cdzoo.decoders.nested_unet import NestedUNet
from cdzoo.errors import ConfigError
from cdzoo.heads.ecam import ECAM
from cdzoo.heads.fused_sides import FusedSides


def pyramid(channels, height=16, width=24):
    return [torch.randn(2, c, height // 2**i, width // 2**i) for i, c in enumerate(channels)]


def test_coarsest_level_of_the_last_date_only():
    encoder = SNUNetEncoder(channels=4, stages=3).eval()
    shared = SNUNetEncoder(channels=4, stages=3, last_date=True).eval()
    shared.load_state_dict(encoder.state_dict())
    sizes = []
    shared.stages[-1].register_forward_hook(lambda _m, _args, out: sizes.append(len(out)))
    images = torch.randn(2, 3, 3, 32, 48).unbind()
    with torch.no_grad():
        expected, found = encoder.encode(images), shared.encode(images)
    assert sizes == [3]  # one date of three samples
    for date in (0, 1):
        for level in (0, 1):
            torch.testing.assert_close(found[date][level], expected[date][level])
        torch.testing.assert_close(found[date][2], expected[1][2])


def test_exchanges_are_recomputed_with_gradient_checkpointing():
    kwargs = {"channels": 4, "last_date": True, "exchange": [None, "channel", "spatial", None, None]}
    model = cdzoo.create_model("snunet_ecam16", backbone_kwargs=kwargs).eval()
    images, gradients = torch.randn(2, 1, 3, 32, 32).unbind(), []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(*images).square().mean().backward()
        gradients.append(model.backbone.stages[1].conv1.weight.grad.clone())
    torch.testing.assert_close(*gradients)


def test_nested_unet_node_by_node():
    decoder = NestedUNet([4, 8, 12], [1, 2, 4], last_date=True).eval()
    level0, level1, level2 = pyramid([4, 8, 12])

    def node(i, j, *inputs):
        return decoder.nodes[i][j - 1](torch.cat(inputs, 1))

    x11 = node(1, 1, level1, decoder.ups[1][0](level2))
    x01 = node(0, 1, level0, decoder.ups[0][0](level1[:, 4:]))
    x02 = node(0, 2, level0, x01, decoder.ups[0][1](x11))
    with torch.no_grad():
        found = decoder([level0, level1, level2])
    assert len(found) == 2 and x11.shape[1] == 4 and x02.shape[1] == 2
    torch.testing.assert_close(found[0], x01)
    torch.testing.assert_close(found[1], x02)


def test_ecam_formula():
    head = ECAM([8, 8, 12], reduction=4, level_reduction=2).eval()
    features = [torch.randn(2, 8, 5, 7), torch.randn(2, 8, 5, 7), torch.randn(2, 12, 5, 7)]
    levels = [*features[:2], head.laterals[2](features[2])]

    def weights(attention, x):
        first, last = (layer.weight[:, :, 0, 0] for layer in attention.mlp[::2])
        return torch.sigmoid(sum(F.relu(v @ first.T) @ last.T for v in (x.mean((2, 3)), x.amax((2, 3)))))

    total = weights(head.summed, levels[0] + levels[1] + levels[2])
    joined = torch.cat(levels, 1)
    attended = weights(head.together, joined)
    expected = attended[:, :, None, None] * (joined + torch.cat([total] * 3, 1)[:, :, None, None])
    torch.testing.assert_close(head(features, (5, 7)), head.classify(expected))


def test_fused_sides_classify_all_logits():
    head = FusedSides([4, 6], num_classes=2)
    fine, coarse = pyramid([4, 6])
    sides = head.auxiliary([fine, coarse])
    assert [side.shape[2:] for side in sides] == [(16, 24), (8, 12)] and head.auxiliary_weights == (1.0, 1.0)
    joined = torch.cat([sides[0], F.interpolate(sides[1], (16, 24), mode="bilinear")], 1)
    torch.testing.assert_close(head([fine, coarse], (16, 24)), head.classify(joined))


def test_an_exchange_after_the_coarsest_level_of_one_date_raises():
    kwargs = {"channels": 4, "last_date": True, "exchange": [None, "channel", None, None, "channel"]}
    with pytest.raises(ConfigError, match="encodes 1 at once"):
        cdzoo.create_model("glmamba_tiny", backbone=("snunet", kwargs))
