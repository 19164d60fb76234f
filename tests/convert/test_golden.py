"""The published networks against outputs of the official code.

`tests/golden/NAME.npz` contains 128 evenly spaced values of each output and intermediate feature of the official network with the
weights and images of `fill.py`; `facts.json` contains its number of parameters, its multiply-adds at 256x256 pixels, and hashes of
the entries of its state dict.
"""

import hashlib
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import cdzoo
from cdzoo.convert import backbone_from_official, from_official, to_official
from cdzoo.errors import ConfigError, WeightsError
from cdzoo.flops import count_models

GOLDEN = Path(__file__).parents[1] / "golden"
FACTS = json.loads((GOLDEN / "facts.json").read_text())
LARGE = ("_small", "_base", "_altdec")
# Relative to the largest magnitude of the official output.
TOLERANCE = 1e-4

_spec = importlib.util.spec_from_file_location("fill", Path(__file__).with_name("fill.py"))
fill = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fill)


def meta(name):
    with torch.device("meta"):
        return cdzoo.create_model(name)


def filled(name):
    shapes = to_official(name, meta(name).state_dict())
    return {key: fill.weight(key, tuple(value.shape)) for key, value in shapes.items()}


def digest(lines):
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def test_every_network_has_golden_values():
    assert {path.stem for path in GOLDEN.glob("*.npz")} == FACTS.keys() and len(FACTS) == 12
    assert FACTS.keys() <= set(cdzoo.list_models())


@pytest.mark.parametrize("name", FACTS)
class TestOfficialNetwork:
    def test_number_of_parameters(self, name):
        assert sum(p.numel() for p in meta(name).parameters()) == FACTS[name]["parameters"]

    def test_entries_of_the_state_dict_in_both_directions(self, name):
        ours = meta(name).state_dict()
        official = to_official(name, ours)
        assert len(official) == FACTS[name]["entries"]
        assert digest(f"{key} {list(value.shape)}" for key, value in official.items()) == FACTS[name]["entries_sha256"]
        back = from_official(name, official)
        assert back.keys() == ours.keys() and all(back[key] is ours[key] for key in ours)

    def test_unused_parameters_are_frozen(self, name):
        model = meta(name)
        official = to_official(name, model.state_dict(keep_vars=True))
        frozen = {key for key, value in official.items() if isinstance(value, torch.nn.Parameter) and not value.requires_grad}
        assert len(frozen) == FACTS[name]["unused"] < len(list(model.parameters()))
        assert digest(frozen) == FACTS[name]["unused_sha256"]

    @pytest.mark.slow
    def test_outputs_and_intermediate_features(self, name):
        model = cdzoo.create_model(name).eval()
        model.load_state_dict(from_official(name, filled(name)), strict=True)
        golden = np.load(GOLDEN / f"{name}.npz")
        found = {}
        _record(model, found)
        with torch.no_grad():
            logits, auxiliary = model.forward_supervised(*fill.images(int(golden["size"])))
        found |= {"logits": logits, "log_softmax": logits.log_softmax(1)}
        found |= {f"out{index}": coarse for index, coarse in enumerate(auxiliary)}
        outputs = {key for key in golden.files if f"{key}_shape" in golden.files}
        assert "logits" in outputs <= found.keys()
        for key in outputs:
            values = found[key].numpy()
            assert values.shape == tuple(golden[f"{key}_shape"])
            positions = np.linspace(0, values.size - 1, len(golden[key])).round().astype(np.int64)
            assert len(positions) >= min(64, values.size)
            error = np.abs(values.reshape(-1)[positions] - golden[key]).max() / golden[f"{key}_max"]
            assert error < TOLERANCE, f"{key} of {name} differs by {error:.1e} of its largest magnitude"


def test_changed_weights_change_the_values():
    """The golden values are sensitive: one entry of the fill less, and they are missed."""
    name = "fc_siam_diff"
    state = from_official(name, filled(name))
    key = next(key for key in state if key.endswith("weight") and state[key].ndim == 4)
    state[key] = state[key] * 1.01
    model = cdzoo.create_model(name).eval()
    model.load_state_dict(state)
    golden = np.load(GOLDEN / f"{name}.npz")
    with torch.no_grad():
        values = model(*fill.images(int(golden["size"]))).numpy().reshape(-1)
    positions = np.linspace(0, values.size - 1, len(golden["logits"])).round().astype(np.int64)
    assert np.abs(values[positions] - golden["logits"]).max() / golden["logits_max"] > TOLERANCE


def test_checkpoints_of_imagenet_classifiers_fill_the_backbone():
    """The encoder of ChangeMamba is one without its classifier, and with four layer norms of its own."""
    official = filled("mambabcd_tiny")
    encoder = {key.removeprefix("encoder."): value for key, value in official.items() if key.startswith("encoder.")}
    fresh = {key for key in encoder if key.startswith("outnorm")}
    classifier = {"classifier.norm.weight": torch.ones(768), "classifier.head.weight": torch.zeros(1000, 768)}
    released = {key: value for key, value in encoder.items() if key not in fresh} | classifier
    backbone = cdzoo.registry.BACKBONES.get("vmamba_tiny")()
    backbone.load_state_dict(backbone_from_official("vmamba_tiny", {"model": released}), strict=True)
    ours = from_official("mambabcd_tiny", official)
    for key, value in backbone.state_dict().items():
        if not key.startswith("norms."):
            assert torch.equal(value, ours[f"backbone.{key}"]), key
    assert len(fresh) == 8 and all(norm.weight.eq(1).all() and norm.bias.eq(0).all() for norm in backbone.norms)
    del released["patch_embed.0.weight"]
    with pytest.raises(WeightsError, match=r"1 missing \(patch_embed\.0\.weight\)"):
        backbone_from_official("vmamba_tiny", released)
    with pytest.raises(ConfigError, match="no official checkpoint format is known for the backbone 'vss'"):
        backbone_from_official("vss", released)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FACTS if not name.endswith(LARGE)])
def test_multiply_adds(name):
    """The larger sizes repeat the blocks of the smaller ones, at several times the cost."""
    (cost,) = count_models([name], 256)
    assert (cost.macs - cost.scan) / 1e9 == pytest.approx(FACTS[name]["gmacs"], rel=2e-3)
    assert cost.scan / 1e9 == pytest.approx(FACTS[name]["scan_gmacs"], rel=1e-3)


def _record(model, found):
    """Record the pyramid of the first date, every eighth channel of it, and the tokens of BIT."""

    def pyramid(_module, _args, levels):
        found.update({f"feat{i}_t1": level[:2, ::8] for i, level in enumerate(levels, 1)})

    def tokens(_module, _args, encoded):
        found["tokens"] = encoded

    model.backbone.register_forward_hook(pyramid)
    encoder = getattr(getattr(model.fusion, "levels", [None])[0], "encoder", None)
    if encoder is not None:
        encoder.register_forward_hook(tokens)
