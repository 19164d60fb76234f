"""Key maps: strict conversion in both directions."""

import functools

import pytest
import torch

import cdzoo
from cdzoo.convert import backbone_from_official, convertible, from_official, to_official
from cdzoo.errors import ConfigError, WeightsError
from cdzoo.models.mit_keys import MIT
from cdzoo.models.vmamba_keys import first_generation
from cdzoo.registry import BACKBONES
from cdzoo.weights.keys import KEY_MAPS, KeyMap, substitute
from cdzoo.weights.state import unwrap

RULES = (("backbone.", "net.encoder."), ("backbone.stem.", "net.stem."), ("head.", "clf."))


@pytest.fixture
def family(monkeypatch):
    made = KeyMap(("glmamba_tiny",), lambda key: substitute(key, RULES), "someone/something", ignored=("*.unused",))
    monkeypatch.setattr("cdzoo.convert.KEY_MAPS", [*KEY_MAPS, made])
    return made


@pytest.fixture
def state():
    return cdzoo.create_model("glmamba_tiny").state_dict()


def test_substitute_uses_the_longest_prefix():
    assert substitute("backbone.stem.0.weight", RULES) == "net.stem.0.weight"
    assert substitute("backbone.norm.weight", RULES) == "net.encoder.norm.weight"
    assert substitute("fusion.weight", RULES) == "fusion.weight"


def test_round_trip(family, state):
    official = to_official("glmamba_tiny", state)
    assert official.keys() != state.keys() and len(official) == len(state)
    back = from_official("glmamba_tiny", official)
    assert back.keys() == state.keys() and all(torch.equal(back[key], state[key]) for key in state)


def test_training_checkpoints_are_unwrapped(family, state):
    official = to_official("glmamba_tiny", state)
    wrapped = {"epoch": 3, "model_G_state_dict": {f"module.{key}": value for key, value in official.items()}}
    wrapped["model_G_state_dict"]["module.table.unused"] = torch.zeros(3)
    assert from_official("glmamba_tiny", wrapped).keys() == state.keys()
    with pytest.raises(WeightsError, match="not a state dict of tensors"):
        unwrap({"epoch": 3, "optimizer": {"lr": 1.0}})


def test_mismatches_are_named(family, state):
    official = to_official("glmamba_tiny", state)
    first, second = list(official)[:2]
    del official[first]
    official[second] = torch.zeros(1, 2, 3)
    official["stray"] = torch.zeros(1)
    with pytest.raises(WeightsError) as caught:
        from_official("glmamba_tiny", official)
    message = str(caught.value)
    assert f"1 missing ({first})" in message and "1 unexpected (stray)" in message
    assert f"1 of another shape ({second} (1, 2, 3) instead of" in message
    with pytest.raises(WeightsError, match="the state dict does not match"):
        to_official("glmamba_tiny", {})


def test_key_maps_must_be_one_to_one(monkeypatch, state):
    monkeypatch.setattr("cdzoo.convert.KEY_MAPS", [KeyMap(("glmamba_tiny",), lambda key: "same", "x/y")])
    with pytest.raises(ConfigError, match="not one-to-one"):
        to_official("glmamba_tiny", state)


def test_joined_parameters_and_pointwise_convolutions():
    class Attention(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.kv, self.out = torch.nn.Linear(4, 4), torch.nn.Linear(4, 8), torch.nn.Linear(4, 3)

    names = {"q.": "in_", "kv.": "in_", "out.": "conv."}
    rename = functools.partial(substitute, rules=tuple(names.items()))
    key_map = KeyMap(("x",), rename, "a/b", joined=("in_*",), pointwise=("conv.weight",))
    state = Attention().state_dict()
    groups = key_map.group(state)
    official = {name: key_map.join(name, [state[key] for key in keys]) for name, keys in groups.items()}
    assert {name: tuple(value.shape) for name, value in official.items()} == {
        "in_weight": (12, 4),
        "in_bias": (12,),
        "conv.weight": (3, 4, 1, 1),
        "conv.bias": (3,),
    }
    assert torch.equal(official["in_weight"][:4], state["q.weight"])
    for name, keys in groups.items():
        for key, value in zip(keys, key_map.split(name, official[name], [state[key] for key in keys]), strict=True):
            assert torch.equal(value, state[key])


def test_imagenet_weights_of_mit_load_into_the_backbone():
    backbone = BACKBONES.get("mit_b0")()
    state = backbone.state_dict()
    official = {name: MIT.join(name, [state[key] for key in keys]) for name, keys in MIT.group(state).items()}
    assert official["layers.0.1.0.attn.attn.in_proj_weight"].shape == (96, 32)
    found = backbone_from_official("mit_b0", {"state_dict": {**official, "head.weight": torch.zeros(1000, 256)}})
    assert found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in state)
    del official["layers.3.2.bias"]
    with pytest.raises(WeightsError, match=r"missing.*layers\.3\.2\.bias"):
        backbone_from_official("mit_b0", official)


def test_models_without_official_code(state):
    assert not convertible("glmamba_levir")
    with pytest.raises(ConfigError, match="no official checkpoint format is known for 'glmamba_levir'"):
        from_official("glmamba_levir", state)


SECOND_GENERATION = {
    "decoder.st_block_41.": "decoder.stage_blocks.0.cat.",
    "decoder.st_block_22.": "decoder.stage_blocks.2.interleave.",
    "decoder.st_block_13.": "decoder.stage_blocks.3.split.",
    "decoder.fuse_layer_4.": "decoder.fuse_layers.0.",
    "decoder.fuse_layer_1.": "decoder.fuse_layers.3.",
    "decoder.smooth_layer_3.": "decoder.smooth_layers.0.",
    "decoder.smooth_layer_1.": "decoder.smooth_layers.2.",
}


def _second_generation(key):
    """Rename a parameter by counting its level from the coarsest, independently of the rules in the package."""
    part, _, rest = key.removeprefix("decoder.").partition(".")
    kind, _, number = part.rpartition("_")
    if not key.startswith("decoder."):
        return key
    if kind == "st_block":
        return f"decoder.stage_blocks.{4 - int(number[0])}.{('cat', 'interleave', 'split')[int(number[1]) - 1]}.{rest}"
    return f"decoder.{kind}s.{(4 if kind == 'fuse_layer' else 3) - int(number)}.{rest}"


@pytest.mark.parametrize("prefix", ["", "model.", "module."])
def test_both_generations_of_names_of_changemamba(prefix):
    with torch.device("meta"):
        state = cdzoo.create_model("mambabcd_tiny").state_dict()
    first = to_official("mambabcd_tiny", state)
    for old, new in SECOND_GENERATION.items():
        assert any(key.startswith(old) for key in first) and _second_generation(old) == new
    second = {f"{prefix}{_second_generation(key)}": value for key, value in first.items()}
    assert len(second) == len(first) and sum(".stage_blocks." in key for key in second) > 100
    back = from_official("mambabcd_tiny", {"model": second, "optimizer": {"lr": 1.0}, "iteration": 3, "task_name": "bcd"})
    assert back.keys() == state.keys() and all(back[key] is state[key] for key in state)


def test_semantic_decoders_of_changemamba_are_renamed():
    assert first_generation("decoder_T1.stage_blocks.1.0.op.Ds") == "decoder_T1.st_block_3_semantic.0.op.Ds"
    assert first_generation("decoder_building.transition_layers.0.0.weight") == "decoder_building.trans_layer_3.0.weight"
    assert first_generation("decoder_T2.smooth_layers.3.conv1.weight") == "decoder_T2.smooth_layer_0_semantic.conv1.weight"
    assert first_generation("decoder_damage.stage_blocks.3.split.0.bias") == "decoder_damage.st_block_13.0.bias"


@pytest.mark.parametrize("name", ["stanet_base", "stanet_pam"])
def test_the_two_files_of_stanet_are_read(name):
    with torch.device("meta"):
        state = cdzoo.create_model(name).state_dict()
    official = to_official(name, state)
    files = {key.removeprefix("netF.").removeprefix("netA."): value for key, value in official.items()}
    assert len(files) == len(official) and ("Self_Att.conv_bn.0.weight" in files) == (name == "stanet_pam")
    back = from_official(name, files)
    assert back.keys() == state.keys() and all(back[key] is state[key] for key in state)


def test_tinycd_is_read_with_the_names_of_both_released_files():
    with torch.device("meta"):
        state = cdzoo.create_model("tinycd").state_dict()
    official = to_official("tinycd", state)
    other = {key.replace("_mixing_mask.2._convmix", "_mixing_mask.2._mixing._convmix"): value for key, value in official.items()}
    assert len(other.keys() - official.keys()) == 3
    assert all(value is state[key] for key, value in from_official("tinycd", other).items())
