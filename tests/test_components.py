"""Tests of all registered components: construction, odd sizes, a training step, serialization."""

import copy
import functools
import inspect
import json
import typing

import pytest
import torch
import torch.nn.functional as F
from architectures import ONE_LEVEL_HEADS

import cdzoo
from cdzoo.components import (
    Backbone,
    Decoder,
    Fusion,
    Head,
    LevelDecoder,
    LevelFusion,
    Neck,
)
from cdzoo.errors import ConfigError
from cdzoo.layers.drop_path import drop_path_rates
from cdzoo.layers.resize import resize
from cdzoo.registry import COMPONENTS

ENTRIES = [(kind, name) for kind, registry in COMPONENTS.items() for name in registry.list()]
BLOCKS = [1, 1, 1, 1]
SMALL = {
    ("backbone", "vss"): {"channels": 8, "depths": BLOCKS, "d_state": 2},
    ("backbone", "unet"): {"channels": [4, 8, 16], "depths": [1, 1, 1]},
    ("backbone", "changeformer"): {"channels": [4, 8, 12, 16], "depths": BLOCKS, "heads": [1, 2, 3, 4]},
    ("backbone", "mit"): {"channels": [4, 8, 12, 16], "depths": BLOCKS, "heads": [1, 2, 3, 4]},
    **{("backbone", f"mit_{size}"): {"depths": BLOCKS} for size in ("b0", "b1")},
    ("backbone", "snunet"): {"channels": 4},
    ("backbone", "dual"): {"encoders": ["resnet10t", "pvt_v2_b0"]},
    ("backbone", "vmamba"): {"channels": 8, "depths": BLOCKS},
    ("backbone", "swin"): {"channels": 8, "depths": [2, 1, 1], "heads": [1, 2, 4], "window": 3},
    ("backbone", "changevit"): {"channels": 12, "depth": 2, "heads": 2, "img_size": 64},
    ("backbone", "cdmamba"): {"channels": 4, "depths": [1, 1, 1]},
    ("backbone", "elgcnet"): {"channels": [4, 8, 12, 16], "depths": BLOCKS},
    **{("backbone", f"vmamba_{size}"): {"depths": [1, 1, 1]} for size in ("tiny", "small", "base")},
    ("backbone", "lightcdnet"): {"channels": 8, "width": 8, "depth": 1},
    ("backbone", "hanet"): {"channels": [4, 8, 16], "img_size": None},
    ("neck", "linear"): {"channels": 8},
    ("neck", "segformer"): {"channels": 8},
    ("backbone", "ussfcnet"): {"channels": [8, 16, 24]},
    ("neck", "nam"): {"channels": 8, "hidden": 8},
    ("neck", "vss"): {"d_state": 2},
    ("decoder", "shuffle_stages"): {"widths": [8, 12, 16], "depths": [1, 2, 3]},
    ("head", "fpn"): {"channels": 8},
    ("fusion", "spatio_temporal"): {"width": 8},
    ("decoder", "upernet"): {"channels": 8},
}
# These heads expect a single level, so the model needs a decoder that merges the pyramid.
# Options of the rest of the model that a component needs.
OPTIONS = {("backbone", "tinycd"): {"decoder": None}}  # the groups of CSIE do not divide the three bands of the image
VARIANTS = [
    ("backbone", "vss", {"scan": "corners"}),
    ("backbone", "vss", {"depths": [1, 1], "drop_path": 0.1}),
    ("backbone", "vss", {"exchange": [None, "spatial", "channel", "channel"]}),
    ("backbone", "timm/resnet10t", {"exchange": ["channel", "spatial", None, "channel"]}),
    ("fusion", "cbam", {"norm": False}),
    ("fusion", "bfa", {"norm": False, "reduction": 4}),
    ("fusion", "cross_attention", {"tokens": 4, "head_channels": 4}),
    ("backbone", "vmamba", {"scan": "omni", "gated": True, "conv_bias": True, "out_norm": False, "d_state": 2}),
    ("fusion", "diff", {"reverse": True}),
    ("fusion", "cdmamba", {"guided": 0}),
    ("backbone", "cdmamba", {"channels": 4, "depths": [1, 1, 1], "square": False}),
    ("fusion", "skips", {"mode": "concat"}),
    ("fusion", "spatio_temporal", {"arrangements": ["cross"], "d_state": 2}),
    ("fusion", "changeformer", {"channels": 4}),
    ("decoder", "mix_ffn", {"mlp_ratio": 0.5}),
    ("backbone", "snunet", {"last_date": True}),
    ("decoder", "nested_unet", {"widths": [3, 5, 7], "last_date": True}),
    ("decoder", "decode_cells", {"paths": 2}),
    ("fusion", "icifnet", {"conv_channels": [4, 4, 16, 32]}),
    ("head", "path_sum", {"paths": 2, "channels": 4, "path_weights": [1.0, 0.5]}),
    ("decoder", "concat_up", {"early_projection": True}),
    ("decoder", "top_down", {"channels": 6}),
    ("decoder", "unet", {"widths": [3, 5, 7], "depths": [1, 2, 3]}),
    ("decoder", "change_guide", {"return_guide": True}),
    ("decoder", "ifn", {"all_levels": True}),
    ("decoder", "mask_up", {"widths": [3, 5, 7]}),
    ("decoder", "msd_unet", {"widths": [8, 16, 24]}),
    ("decoder", "supervised_attention", {"channels": 6, "return_masks": True}),
    ("decoder", "shuffle_stages", {"widths": [2, 4, 6], "depths": [2, 3, 3]}),
    ("fusion", "concat_conv", {"kernel_size": 3, "reverse": True}),
    ("fusion", "pam", {"parts": [2, 3]}),
    ("neck", "vss", {"levels": 4, "depth": 2, "d_state": 2, "expand": 0.5, "scan": "corners"}),
    ("decoder", "csie", {"interaction": "spatial"}),
    ("decoder", "csie", {"groups": 2}),
    ("decoder", "upernet", {"bins": [2]}),
    ("head", "summation", {"channels": 6}),
    ("head", "changeformer", {"channels": 6}),
    ("head", "changeformer", {"supervised": False}),
    ("head", "conv", {"kernel_size": 3, "transposed": True}),
]


def build(kind, name, **kwargs):
    """Return a new model with this component; a copy, because checks make the construction slow."""
    return copy.deepcopy(_built(kind, name, json.dumps(kwargs)))


@functools.cache
def _built(kind, name, arguments):
    kwargs = json.loads(arguments)
    kwargs = {**SMALL.get((kind, name), {}), **kwargs}
    options = {kind: (name, kwargs), **OPTIONS.get((kind, name), {})}
    if kind != "backbone":
        options["backbone"] = ("vss", SMALL["backbone", "vss"])
    elif name in ("bit_resnet18", "lightcdnet") or len(kwargs.get("depths", BLOCKS)) < 3:
        options["neck"] = None
    if kind == "head" and name in ONE_LEVEL_HEADS:
        options["decoder"] = "unet"
    return cdzoo.create_model("glmamba_tiny", **options)


def accepted(model, pair):
    """Return the pair, or one of 64 x 64 pixels for models that do not take its size."""
    return pair if model.input_sizes.free else tuple(torch.randn(2, 2, 3, 64, 64))


HEAVY = [*(("backbone", name) for name in ("cgnet_vgg16_bn", "dual", "mit_b1")), ("fusion", "icifnet")]
EVERY = [pytest.param(*entry, {}, marks=pytest.mark.slow if entry in HEAVY else ()) for entry in ENTRIES]


@pytest.mark.parametrize(("kind", "name", "kwargs"), EVERY + VARIANTS)
class TestComponent:
    def test_training_step_at_odd_size(self, kind, name, kwargs, pair):
        model = build(kind, name, **kwargs)
        pair = accepted(model, pair)
        logits, weighted = model.forward_supervised(*pair)
        assert logits.shape == (2, 1, *pair[0].shape[-2:]) and len(weighted) == len(model.head.auxiliary_weights)
        outputs = [logits, *(coarse for _, coarse in weighted)]
        assert all(torch.isfinite(values).all() and values.shape[:2] == (2, 1) for values in outputs)
        sum(values.square().mean() for values in outputs).backward()
        missing = [n for n, p in getattr(model, kind).named_parameters() if p.requires_grad and p.grad is None]
        assert not missing, f"parameters without gradient: {missing}"
        before = [p.detach().clone() for p in model.parameters()]
        torch.optim.SGD(model.parameters(), lr=0.1).step()
        assert any((a != b).any() for a, b in zip(before, model.parameters(), strict=True))

    def test_inference_is_deterministic_and_independent_of_the_batch(self, kind, name, kwargs, pair):
        model = build(kind, name, **kwargs).eval()
        pair = accepted(model, pair)
        with torch.no_grad():
            batched = model(*pair)
            assert torch.equal(batched, model(*pair))
            single = model(pair[0][1:], pair[1][1:])
        assert (single - batched[1:]).abs().max() < 1e-5 * batched.abs().max()

    def test_state_dict_and_config_round_trip(self, kind, name, kwargs, pair):
        model = build(kind, name, **kwargs).eval()
        other = cdzoo.ChangeDetector.from_config(cdzoo.ModelCfg.from_json(model.config.to_json())).eval()
        assert other.config == model.config
        other.load_state_dict(model.state_dict(), strict=True)
        pair = accepted(model, pair)
        with torch.no_grad():
            assert torch.equal(other(*pair), model(*pair))

    def test_output_channels_and_strides(self, kind, name, kwargs, pair):
        model = build(kind, name, **kwargs).eval()
        component = getattr(model, kind)
        if kind == "head":
            assert component.num_classes == 1
            return
        outputs = []
        component.register_forward_hook(lambda _m, _i, out: outputs.append(out))
        side = 32 if model.input_sizes.free else 64
        with torch.no_grad():
            model(*torch.randn(2, 2, 3, side, side))
        assert tuple(f.shape[1] for f in outputs[0]) == component.out_channels
        strides = component.out_strides or model.backbone.out_strides
        assert tuple(side // f.shape[2] for f in outputs[0]) == tuple(strides)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_models_with_this_component_are_exported(kind, name):
    model = build(kind, name).eval()
    if not model.exportable:
        pytest.skip("declares that it is not exportable")
    pair = tuple(torch.randn(2, 1, 3, 64, 64))
    exported = torch.export.export(model, pair).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(*pair), model(*pair), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_base_class_docstring_and_signature(kind, name):
    entry = COMPONENTS[kind].get(name)
    bases = {
        "backbone": Backbone,
        "neck": Neck,
        "fusion": (Fusion, LevelFusion),
        "decoder": (Decoder, LevelDecoder),
        "head": Head,
    }
    returned = entry if inspect.isclass(entry) else typing.get_type_hints(entry)["return"]
    assert issubclass(returned, bases[kind])
    assert entry.__doc__
    assert not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(entry).parameters.values())


@pytest.mark.parametrize(("name", "channels"), [("vmamba_tiny", 96), ("vmamba_small", 96), ("vmamba_base", 128)])
def test_vmamba_sizes(name, channels):
    function = COMPONENTS["backbone"].get(name)
    assert list(inspect.signature(function).parameters) == ["in_chans", "depths", "drop_path"]
    with torch.device("meta"):
        backbone = function(depths=[1, 1])
    assert backbone.out_channels == (channels, 2 * channels)


def test_upsample_alias():
    assert COMPONENTS["neck"].get("enlarge") is COMPONENTS["neck"].get("upsample")
    assert "enlarge" not in COMPONENTS["neck"].list()


def test_drop_path_rates():
    assert drop_path_rates(0.2, [1, 2]) == [[0.0], [0.1, 0.2]]
    assert drop_path_rates(0.2, [1]) == [[0.0]]


@pytest.mark.parametrize(
    "name",
    [name for name in COMPONENTS["backbone"] if "drop_path" in inspect.signature(COMPONENTS["backbone"].get(name)).parameters]
    + ["timm/resnet18", "timm/convnext_atto"],
)
def test_drop_path_is_an_option_of_backbones(name):  # except of those without deep residual branches, such as unet
    with torch.device("meta"):
        assert any(type(m).__name__ == "DropPath" for m in build("backbone", name, drop_path=0.3).modules())
    with pytest.raises(ConfigError, match="drop_path"):
        build("backbone", name, drop_path=1.0)


def test_resize_returns_maps_of_the_same_size_unchanged():
    x = torch.randn(1, 2, 3, 5)
    assert resize(x, (3, 5)) is x
    torch.testing.assert_close(resize(x, (3, 5)), F.interpolate(x, size=(3, 5), mode="bilinear"))
    assert torch.equal(resize(x, (6, 7)), F.interpolate(x, size=(6, 7), mode="bilinear"))
