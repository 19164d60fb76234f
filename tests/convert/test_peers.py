"""The rivals against what the official code computes, where its manifests and golden outputs are at hand.

They lie in `../shared/peers` beside the checkout, or in the folder that `CDZOO_PEERS` names; the tests skip without them.
"""

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

import cdzoo
from cdzoo.convert import backbone_from_official, from_official, to_official
from cdzoo.errors import ConfigError, WeightsError
from cdzoo.flops import count_models

PEERS = Path(os.environ.get("CDZOO_PEERS", Path(__file__).parents[3] / "shared" / "peers"))
NAMES = sorted(path.stem for path in (PEERS / "manifests").glob("*.json"))
pytestmark = pytest.mark.skipif(not NAMES, reason=f"no manifests of official code in {PEERS}")
# Relative to the largest magnitude of the official output.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def filling():
    spec = importlib.util.spec_from_file_location("peers_fill", PEERS / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def manifest(name):
    return json.loads((PEERS / "manifests" / f"{name}.json").read_text())


def official_state(name, filling):
    def tensor(key, shape, dtype):
        return torch.from_numpy(np.asarray(filling.fill_array(key, shape))).to(getattr(torch, dtype))

    return {key: tensor(key, shape, dtype) for key, shape, dtype in manifest(name)["state_dict"]}


@pytest.mark.parametrize("name", NAMES)
class TestEveryPeer:
    def test_parameters_are_equal_in_number(self, name):
        with torch.device("meta"):
            model = cdzoo.create_model(name)
        assert sum(p.numel() for p in model.parameters()) == round(manifest(name)["params_m"] * 1e6)

    def test_every_key_of_the_manifest_is_mapped_there_and_back(self, name):
        with torch.device("meta"):
            ours = cdzoo.create_model(name).state_dict()
        official = to_official(name, ours)
        assert {key: tuple(value.shape) for key, value in official.items()} == {
            key: tuple(shape) for key, shape, _ in manifest(name)["state_dict"]
        }
        back = from_official(name, official)
        assert back.keys() == ours.keys() and all(back[key] is ours[key] for key in ours)

    def test_unused_parameters_are_frozen(self, name):
        unused = set(manifest(name).get("unused_params", ()))
        with torch.device("meta"):
            model = cdzoo.create_model(name)
        trained = dict(model.named_parameters())
        official = to_official(name, model.state_dict(keep_vars=True))
        frozen = {key for key, value in official.items() if isinstance(value, torch.nn.Parameter) and not value.requires_grad}
        assert frozen == unused & official.keys() and len(frozen) < len(trained)

    @pytest.mark.slow
    def test_outputs_and_inner_features_are_the_official_ones(self, name, filling):
        model = cdzoo.create_model(name).eval()
        model.load_state_dict(from_official(name, official_state(name, filling)), strict=True)
        golden = np.load(PEERS / "golden" / f"{name}.npz")
        seen = {}
        _watch(model, seen)
        t1, t2 = (torch.from_numpy(image) for image in filling.inputs(64))
        with torch.no_grad():
            logits, auxiliary = model.forward_supervised(t1, t2)
        seen |= {"logits": logits, "log_softmax": logits.log_softmax(1)}
        seen |= {f"out{index}": coarse for index, coarse in enumerate(auxiliary)}
        given = set(golden.files) - {"size"}
        assert given <= set(seen)
        for key in given:
            worst = np.abs(seen[key].numpy() - golden[key]).max() / np.abs(golden[key]).max()
            assert worst < TOLERANCE, f"{key} of {name} is off by {worst:.1e} of its largest magnitude"


def test_checkpoints_of_imagenet_classifiers_fill_the_backbone(filling):
    """The encoder of ChangeMamba is one without its classifier, and with four layer norms of its own."""
    official = official_state("mambabcd_tiny", filling)
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
    with pytest.raises(WeightsError, match=r"missing: patch_embed\.0\.weight"):
        backbone_from_official("vmamba_tiny", released)
    with pytest.raises(ConfigError, match="no official checkpoint format is known for the backbone 'vss'"):
        backbone_from_official("vss", released)


def _watch(model, seen):
    """Keep the pyramid of the first date, every eighth channel of it, and BIT's tokens."""

    def pyramid(_module, _args, levels):
        seen.update({f"feat{i}_t1": level[:2, ::8] for i, level in enumerate(levels, 1)})

    def tokens(_module, _args, encoded):
        seen["tokens"] = encoded

    model.backbone.register_forward_hook(pyramid)
    encoder = getattr(getattr(model.fusion, "levels", [None])[0], "encoder", None)
    if encoder is not None:
        encoder.register_forward_hook(tokens)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith(("_small", "_base", "_altdec"))])
def test_multiply_adds_are_the_official_ones(name):
    """The larger sizes repeat the blocks of the smaller ones, at several times the cost."""
    (cost,) = count_models([name], 256)
    official = manifest(name)
    assert (cost.macs - cost.scan) / 1e9 == pytest.approx(official["gmacs"], rel=2e-3)
    assert cost.scan / 1e9 == pytest.approx(official.get("selective_scan", {}).get("official_flops_G", 0), rel=1e-3)
