"""Every registered part: built, run at odd sizes, trained a step, saved. A new part is tested by existing."""

import inspect

import pytest
import torch

import cdzoo
from cdzoo.components import (
    Backbone,
    Decoder,
    Fusion,
    Head,
    Identity,
    LevelDecoder,
    LevelFusion,
    Neck,
    PerLevelDecoder,
    PerLevelFusion,
    PyramidComponent,
)
from cdzoo.errors import ChannelMismatchError, ConfigError
from cdzoo.models.detector import ChangeDetector
from cdzoo.registry import COMPONENTS

ALL_PARTS = [(kind, name) for kind, registry in COMPONENTS.items() for name in registry.list()]
BLOCKS = [1, 1, 1, 1]
SMALL = {
    ("backbone", "vss"): {"channels": 8, "depths": BLOCKS, "d_state": 2},
    ("backbone", "unet"): {"channels": [4, 8, 16], "depths": [1, 1, 1]},
    ("backbone", "changeformer"): {"channels": [4, 8, 12, 16], "depths": BLOCKS, "heads": [1, 2, 3, 4]},
    ("backbone", "vmamba"): {"channels": 8, "depths": BLOCKS},
    **{("backbone", f"vmamba_{size}"): {"depths": [1, 1, 1]} for size in ("tiny", "small", "base")},
    ("neck", "linear"): {"channels": 8},
    ("fusion", "spatio_temporal"): {"width": 8},
}
# Heads that take one level need a decoder that merges the pyramid into it.
ONE_LEVEL_HEADS = ("conv", "fcn", "stepwise")
VARIANTS = [
    ("backbone", "vss", {"scan": "corners"}),
    ("backbone", "vss", {"depths": [1, 1], "drop_path": 0.1}),
    ("fusion", "cbam", {"norm": False}),
    ("fusion", "bfa", {"norm": False, "reduction": 4}),
    ("fusion", "cross_attention", {"tokens": 4, "head_channels": 4}),
    ("backbone", "vmamba", {"scan": "omni", "gated": True, "conv_bias": True, "out_norm": False, "d_state": 2}),
    ("fusion", "skips", {"mode": "concat"}),
    ("fusion", "spatio_temporal", {"arrangements": ["cross"], "d_state": 2}),
    ("fusion", "changeformer", {"channels": 4}),
    ("decoder", "concat_up", {"early_projection": True}),
    ("decoder", "top_down", {"channels": 6}),
    ("decoder", "unet", {"widths": [3, 5, 7], "depths": [1, 2, 3]}),
    ("decoder", "csie", {"interaction": "spatial"}),
    ("decoder", "csie", {"groups": 2}),
    ("head", "summation", {"channels": 6}),
    ("head", "changeformer", {"channels": 6}),
    ("head", "conv", {"kernel_size": 3, "transposed": True}),
]


def build(kind, name, **kwargs):
    own = {**SMALL.get((kind, name), {}), **kwargs}
    options = {kind: (name, own)}
    if kind != "backbone":
        options["backbone"] = ("vss", SMALL["backbone", "vss"])
    elif name == "bit_resnet18" or len(own.get("depths", BLOCKS)) < 3:
        options["neck"] = None
    if kind == "head" and name in ONE_LEVEL_HEADS:
        options["decoder"] = "unet"
    return cdzoo.create_model("glmamba_tiny", **options)


@pytest.mark.parametrize(("kind", "name", "kwargs"), [(*part, {}) for part in ALL_PARTS] + VARIANTS)
class TestEveryPart:
    def test_a_model_with_it_trains_a_step_at_an_odd_size(self, kind, name, kwargs, pair):
        model = build(kind, name, **kwargs)
        logits, auxiliary = model.forward_supervised(*pair)
        assert logits.shape == (2, 1, 33, 47) and len(auxiliary) == len(model.head.auxiliary_weights)
        assert all(torch.isfinite(values).all() and values.shape[:2] == (2, 1) for values in (logits, *auxiliary))
        sum(values.square().mean() for values in (logits, *auxiliary)).backward()
        without = [n for n, p in getattr(model, kind).named_parameters() if p.requires_grad and p.grad is None]
        assert not without, f"no gradient reaches {without}"
        before = [p.detach().clone() for p in model.parameters()]
        torch.optim.SGD(model.parameters(), lr=0.1).step()
        assert any((a != b).any() for a, b in zip(before, model.parameters(), strict=True))

    def test_evaluation_is_deterministic_and_independent_of_the_batch(self, kind, name, kwargs, pair):
        model = build(kind, name, **kwargs).eval()
        with torch.no_grad():
            whole = model(*pair)
            assert torch.equal(whole, model(*pair))
            one = model(pair[0][1:], pair[1][1:])
        assert (one - whole[1:]).abs().max() < 1e-5 * whole.abs().max()

    def test_state_dict_and_config_round_trip(self, kind, name, kwargs, pair):
        model = build(kind, name, **kwargs).eval()
        copy = cdzoo.factory.build(cdzoo.ModelCfg.from_json(model.config.to_json())).eval()
        assert copy.config == model.config
        copy.load_state_dict(model.state_dict(), strict=True)
        with torch.no_grad():
            assert torch.equal(copy(*pair), model(*pair))

    def test_it_declares_what_it_gives(self, kind, name, kwargs, pair):
        model = build(kind, name, **kwargs).eval()
        part = getattr(model, kind)
        if kind == "head":
            assert part.num_classes == 1
            return
        shown = []
        part.register_forward_hook(lambda _m, _i, out: shown.append(out))
        t1, t2 = (t[:, :, :32, :32] for t in pair)
        with torch.no_grad():
            model(t1, t2)
        assert tuple(f.shape[1] for f in shown[0]) == part.out_channels
        strides = part.out_strides or model.backbone.out_strides
        assert tuple(32 // f.shape[2] for f in shown[0]) == tuple(strides)


@pytest.mark.parametrize(("kind", "name"), ALL_PARTS)
def test_every_part_is_of_its_kind_documented_and_takes_only_named_arguments(kind, name):
    entry = COMPONENTS[kind].get(name)
    bases = {
        "backbone": Backbone,
        "neck": Neck,
        "fusion": (Fusion, LevelFusion),
        "decoder": (Decoder, LevelDecoder),
        "head": Head,
    }
    assert issubclass(entry, bases[kind])
    assert entry.__doc__
    assert not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(entry).parameters.values())


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("decoder", ("csie", {"groups": 3})),
        ("decoder", ("csie", {"interaction": "both"})),
        ("decoder", ("csie", {"reduction": 0})),
        ("fusion", ("cbam", {"reduction": 0})),
        ("fusion", ("cross_attention", {"tokens": 0})),
        ("backbone", ("vss", {"channels": 0})),
        ("backbone", ("vss", {"depths": []})),
        ("backbone", ("vss", {"depths": [1, 0]})),
        ("backbone", ("vss", {"drop_path": 1.0})),
        ("backbone", ("vmamba", {"channels": 7})),
        ("backbone", ("vmamba", {"depths": [1, 0]})),
        ("backbone", ("vmamba", {"drop_path": 1.0})),
        ("backbone", ("unet", {"channels": [8], "depths": [1, 1]})),
        ("backbone", ("unet", {"channels": [2] * 6, "depths": [1] * 6})),
        ("backbone", ("changeformer", {"depths": [1, 1]})),
        ("backbone", ("changeformer", {"heads": [3, 2, 4, 8]})),
        ("neck", ("linear", {"channels": 0})),
        ("neck", ("enlarge", {"channels": 0})),
        ("fusion", ("skips", {"mode": "both"})),
        ("fusion", ("mf_mamba", {"reduction": 0})),
        ("fusion", ("spatio_temporal", {"arrangements": ["diagonal"]})),
        ("decoder", ("top_down", {"channels": -1})),
        ("decoder", ("unet", {"widths": [8]})),
        ("head", ("conv", {"kernel_size": 2})),
    ],
)
def test_arguments_out_of_range_are_refused(kind, value):
    with pytest.raises(ConfigError, match=value[0]):
        cdzoo.create_model("glmamba_tiny", **{kind: value})


def test_csam_refuses_pyramids_it_cannot_merge():
    with pytest.raises(ConfigError, match=r"three neighbouring levels.*neck=None"):
        cdzoo.create_model("glmamba_tiny", backbone=("vss", {"channels": 8, "depths": [1, 1]}))
    with pytest.raises(ConfigError, match="strides that double"):
        COMPONENTS["neck"].get("csam")([8, 8, 8], [4, 8, 8])


@pytest.mark.parametrize("head", ONE_LEVEL_HEADS)
def test_heads_of_one_level_say_what_would_make_one(head):
    with pytest.raises(ConfigError, match=rf"{head} takes one level.*gives 4.*decoder=\"unet\""):
        cdzoo.create_model("glmamba_tiny", head=head)


@pytest.mark.parametrize(("kind", "name"), [("fusion", "skips"), ("decoder", "unet"), ("decoder", "concat_up"), ("neck", "csam")])
def test_parts_that_need_a_pyramid_refuse_a_single_level(kind, name):
    with pytest.raises(ConfigError, match=r"levels"):
        cdzoo.create_model("bit", **{kind: name})


@pytest.mark.parametrize("decoder", ["unet", "concat_up"])
def test_parts_that_double_refuse_strides_that_do_not(decoder):
    with pytest.raises(ConfigError, match=f"the decoder {decoder} needs strides that double"):
        COMPONENTS["decoder"].get(decoder)([8, 8, 8], [4, 8, 32])


class _Fixed(Backbone):
    def __init__(self, channels=(4, 8), strides=(4, 8), in_chans=3):
        super().__init__(in_chans, channels, strides)


class _Head(Head):
    pass


def _parts(fusion_channels=(4, 8), head_channels=(4, 8), decoder=None, neck=None):
    return {
        "backbone": _Fixed(),
        "neck": neck,
        "fusion": PerLevelFusion([LevelFusion(c) for c in fusion_channels]),
        "decoder": decoder,
        "head": _Head(head_channels),
    }


class TestMismatch:
    def test_parts_that_fit_are_accepted(self):
        ChangeDetector(**_parts())

    def test_fusion_against_backbone_names_both_sides(self):
        with pytest.raises(ChannelMismatchError, match=r"backbone _Fixed gives channels \(4, 8\).*LevelFusion takes \(4, 6\)"):
            ChangeDetector(**_parts(fusion_channels=(4, 6)))

    def test_head_against_fusion_when_there_is_no_decoder(self):
        with pytest.raises(ChannelMismatchError, match=r"fusion LevelFusion gives channels \(4, 8\).*head _Head takes \(4,\)"):
            ChangeDetector(**_parts(head_channels=(4,)))

    def test_decoder_against_fusion(self):
        decoder = PerLevelDecoder([LevelDecoder(4), LevelDecoder(9)])
        with pytest.raises(ChannelMismatchError, match=r"decoder LevelDecoder takes \(4, 9\)"):
            ChangeDetector(**_parts(decoder=decoder))

    def test_strides_count_too(self):
        class Refine(Neck):
            pass

        with pytest.raises(ChannelMismatchError, match=r"gives strides \(4, 8\), but neck Refine takes \(4, 16\)"):
            ChangeDetector(**_parts(neck=Refine((4, 8), (4, 16))))

    def test_a_part_of_another_kind_is_named(self):
        with pytest.raises(ConfigError, match=r"fusion must be a cdzoo.components.Fusion, got Conv2d"):
            ChangeDetector(**{**_parts(), "fusion": torch.nn.Conv2d(1, 1, 1)})

    def test_backbones_of_the_two_dates_must_agree(self):
        with pytest.raises(ChannelMismatchError, match="different pyramids"):
            ChangeDetector(**_parts(), backbone2=_Fixed((4, 9)))


def test_identity_keeps_the_declaration():
    same = Identity((1, 2), (4, 8))
    assert isinstance(same, PyramidComponent)
    assert (same.out_channels, same.out_strides) == ((1, 2), (4, 8))
