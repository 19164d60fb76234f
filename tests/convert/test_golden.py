"""Every converted network matches its official code in keys, number of parameters and outputs."""

import functools
import math

import numpy as np
import official_fill
import pytest
import torch
from architectures import architectures
from golden_files import Summary, expand, golden_names, read_golden, sampled_indices

import cdzoo
from cdzoo.convert import _find_key_map, backbone_from_official, convertible, from_official, to_official
from cdzoo.errors import ConfigError, WeightsError
from cdzoo.flops import count_models

NAMES = golden_names()
# Relative to the largest magnitude of the official output. Rounding differs between machines by about 5e-6.
TOLERANCE = 1e-4
# Shallow networks accumulate less rounding error; swapping the dates changes the output of FC-Siam-diff by only 1.5e-4.
STRICTER = {"fc_ef": 1e-5, "fc_siam_conc": 1e-5, "fc_siam_diff": 1e-5}
# They repeat the blocks of other networks.
LARGER_SIZES = (
    *("mambabcd_small", "mambabcd_base", "mfvmamba_altdec", "changer_ex_s50", "changer_ex_mit_b1"),
    *("snunet_ecam32", "snunet_ecam48", "lightcdnet_b", "lightcdnet_l"),
    *("btc_b", "changevit_small"),
    *("mambascd_small", "mambascd_base", "mambabda_small", "mambabda_base"),
)
HEAVY = ("cdmamba", "btc_t", "icifnet", "changevit_tiny", "hanet", "cgnet", "ifn", "stanet_base", "stanet_bam")
OF_ONE_SIZE = [name for name in NAMES if name not in LARGER_SIZES]
SMALL = [name for name in NAMES if name.startswith(("fc_", "bit_"))]


FAST = [name for name in OF_ONE_SIZE if name not in HEAVY]


def slow_unless(fast, names):
    return [pytest.param(name, marks=() if name in fast else pytest.mark.slow) for name in names]


@functools.cache
def on_meta(name):
    with torch.device("meta"):
        return cdzoo.create_model(name)


def official_outputs(name, official, images):
    """Return what the model computes from an official state dict: logits, auxiliary outputs and inner features."""
    model = cdzoo.create_model(name).eval()
    model.load_state_dict(from_official(name, official), strict=True)
    outputs = {}
    _watch(model, outputs)
    taps = read_golden(name).taps
    for key, tap in taps.items():
        model.get_submodule(tap.module).register_forward_hook(
            lambda _module, _args, output, key=key, tap=tap: outputs.__setitem__(key, tap.read(output))
        )
    with torch.no_grad():
        found, auxiliary = model.forward_supervised(*images)
    outputs |= {f"out{index}": coarse for index, (_weight, coarse) in enumerate(auxiliary)}
    if not isinstance(found, dict):
        outputs |= {"logits": found, "log_softmax": found.log_softmax(1), "distance": found.exp()}
    return outputs | {key: tap.read(found) for key, tap in taps.items() if not tap.module}


def _watch(model, outputs):
    """Keep every eighth channel of the features of the first date, and the tokens of BIT."""

    def features(_module, _args, levels):
        outputs.update({f"feat{i}_t1": level[:2, ::8] for i, level in enumerate(levels, 1)})

    def tokens(_module, _args, encoded):
        outputs["tokens"] = encoded

    model.backbone.register_forward_hook(features)
    encoder = getattr(getattr(model.fusion, "levels", [None])[0], "encoder", None)
    if encoder is not None:
        encoder.register_forward_hook(tokens)


def errors(name, outputs):
    """Return the relative error of every golden output."""
    return {key: golden.error(Summary.of(outputs[key].numpy())) for key, golden in read_golden(name).outputs.items()}


def test_golden_files_are_complete():
    published = {name for name in architectures() if convertible(name)}
    assert set(NAMES) == published - {"mf_vmamba", "fc_ef_oscd", "fc_siam_conc_oscd", "fc_siam_diff_oscd"}  # of other widths


@pytest.mark.parametrize("name", NAMES)
def test_parameter_counts_match_the_official_code(name):
    golden, key_map = read_golden(name), _find_key_map(name)
    dropped = sum(math.prod(golden.state[key]) for key in golden.unused if key_map.ignores(key))
    assert sum(p.numel() for p in on_meta(name).parameters()) == golden.params - dropped


@pytest.mark.parametrize("name", NAMES)
def test_official_keys_and_shapes_in_both_directions(name):
    ours = on_meta(name).state_dict()
    official = to_official(name, ours)
    key_map, expected = _find_key_map(name), read_golden(name).state
    dropped = {key: torch.empty(shape, device="meta") for key, shape in expected.items() if key_map.ignores(key)}
    assert {key: tuple(value.shape) for key, value in (official | dropped).items()} == expected
    assert len(official) + len(dropped) == len(expected)
    back = from_official(name, official | dropped)
    assert back.keys() == ours.keys() and all(back[key].shape == ours[key].shape for key in ours)
    renamed = [(old, keys[0]) for old, keys in key_map.group(ours).items() if len(keys) == 1]
    assert all(back[key] is ours[key] for old, key in renamed if official[old].shape == ours[key].shape)


@pytest.mark.parametrize("name", NAMES)
def test_unused_parameters_are_frozen_or_dropped(name):
    model, key_map = on_meta(name), _find_key_map(name)
    official = to_official(name, model.state_dict(keep_vars=True))
    frozen = {key for key, value in official.items() if isinstance(value, torch.nn.Parameter) and not value.requires_grad}
    assert frozen == {key for key in read_golden(name).unused if not key_map.ignores(key)} and len(frozen) < len(
        list(model.parameters())
    )


@pytest.mark.parametrize("name", slow_unless(FAST, NAMES))
def test_outputs_and_features_match_the_official_code(name):
    golden = read_golden(name)
    official = official_fill.fill(golden.state, golden.fill_rule)
    found = errors(name, official_outputs(name, official, official_fill.images(golden.size)))
    assert found.keys() & {"logits", "distance", "change", "damage"}
    for key, error in found.items():
        assert error < STRICTER.get(name, TOLERANCE), f"{key} of {name} differs by {error:.1e} of its largest magnitude"


@pytest.mark.parametrize("name", SMALL)
def test_comparison_detects_swapped_dates_and_changed_weights(name):
    tolerance = STRICTER.get(name, TOLERANCE)
    official = official_fill.fill(read_golden(name).state)
    swapped = errors(name, official_outputs(name, official, official_fill.images(64)[::-1]))
    assert swapped["logits"] > tolerance
    first = next(key for key in official if key.endswith("conv1.weight") or key == "conv11.weight")
    official[first].view(-1)[0] += 0.1
    changed = errors(name, official_outputs(name, official, official_fill.images(64)))
    assert changed["logits"] > tolerance


# cdmamba was compared once: 53.75 GMACs and 16.12 G of the scan. Tracing its 116 scans of full resolution takes minutes.
@pytest.mark.parametrize("name", slow_unless(SMALL, [name for name in OF_ONE_SIZE if name != "cdmamba"]))
def test_multiply_adds_match_the_official_code(name):
    (cost,) = count_models([name], 256)
    golden = read_golden(name)
    assert (cost.macs - cost.scan) / 1e9 == pytest.approx(golden.gmacs, rel=3e-3)  # Changer resizes a level to its own size
    assert cost.scan / 1e9 == pytest.approx(golden.scan_gflops, rel=1e-3)


def test_imagenet_classifier_checkpoints_load_into_the_backbone():
    """Classifier checkpoints have the keys of the encoder of ChangeMamba, with a classifier instead of four layer norms."""
    official = official_fill.fill(read_golden("mambabcd_tiny").state)
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
    with pytest.raises(WeightsError, match=r"missing.*patch_embed\.0\.weight"):
        backbone_from_official("vmamba_tiny", released)
    with pytest.raises(ConfigError, match="no official checkpoint format is known for the backbone 'vss'"):
        backbone_from_official("vss", released)


class TestHelpers:
    """A change of NumPy's generator or of the file format fails here instead of as a mismatch of a network."""

    @pytest.mark.parametrize(
        ("key", "shape", "expected"),
        [
            ("bn.running_mean", (3,), [-0.14306138, 0.0092829429, -0.097632691]),
            ("bn.running_var", (3,), [1.125127, 1.1614865, 1.0108087]),
            ("bn.num_batches_tracked", (), [0]),
            ("op.A_logs", (1, 3), [-0.0094748819, 0.63255274, 1.1111892]),
            ("op.Ds", (3,), [1.0051787, 1.0690719, 0.98545837]),
            ("op.dt_projs_bias", (1, 3), [-3.0482056, -2.8886192, -3.0244429]),
            ("op.x_proj_weight", (1, 3, 1), [-1.0332537, -0.44193771, -0.57010084]),
            ("up.weight", (1, 3, 1, 1), [0.82270336, -0.1410823, 0.082527719]),
            ("norm.weight", (3,), [0.92157012, 1.028201, 0.9779551]),
            ("norm.bias", (3,), [0.016652385, -0.069008015, -0.20227654]),
            ("pos_embedding", (1, 1, 3), [0.044684954, -0.0029305657, -0.05865233]),
        ],
    )
    def test_fill(self, key, shape, expected):
        assert official_fill.entry(key, shape).flatten().numpy() == pytest.approx(expected, rel=1e-6)

    def test_images(self):
        first, second = official_fill.images(64)
        assert first.shape == second.shape == (2, 3, 64, 64)
        ends = [float(image.flatten()[index]) for image in (first, second) for index in (0, -1)]
        assert ends == pytest.approx([0.34558418, -0.59274596, 0.18905339, -0.97725695], rel=1e-6)

    def test_patterns(self):
        assert expand("a{0-2,5}.{x,y}")[::2] == ["a0.x", "a1.x", "a2.x", "a5.x"] and expand("plain.1.key") == ["plain.1.key"]

    def test_sampled_indices_are_distinct(self):
        for size in (1, 16, 63, 64, 65, 16384):
            assert len(set(sampled_indices(size))) == min(size, 64) and sampled_indices(size).max() < size

    def test_a_difference_outside_the_stored_elements_changes_the_error(self):
        array = np.linspace(-1, 2, 1000, dtype=np.float32)
        changed = array.copy()
        unseen = next(i for i in range(1000) if i not in sampled_indices(1000))
        changed[unseen] += 1
        assert Summary.of(array).error(Summary.of(array)) == 0 < 1e-4 < Summary.of(array).error(Summary.of(changed))
