"""Key maps: strict in both directions, whatever family they are of."""

import pytest
import torch

import cdzoo
from cdzoo.convert import convertible, from_official, to_official
from cdzoo.errors import ConfigError, WeightsError
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


def test_the_longest_rule_wins():
    assert substitute("backbone.stem.0.weight", RULES) == "net.stem.0.weight"
    assert substitute("backbone.norm.weight", RULES) == "net.encoder.norm.weight"
    assert substitute("fusion.weight", RULES) == "fusion.weight"


def test_round_trip_renames_every_key_and_changes_no_value(family, state):
    official = to_official("glmamba_tiny", state)
    assert official.keys() != state.keys() and len(official) == len(state)
    back = from_official("glmamba_tiny", official)
    assert back.keys() == state.keys() and all(torch.equal(back[key], state[key]) for key in state)


def test_training_checkpoints_are_opened(family, state):
    official = to_official("glmamba_tiny", state)
    wrapped = {"epoch": 3, "model_G_state_dict": {f"module.{key}": value for key, value in official.items()}}
    wrapped["model_G_state_dict"]["module.table.unused"] = torch.zeros(3)
    assert from_official("glmamba_tiny", wrapped).keys() == state.keys()
    with pytest.raises(WeightsError, match="no state dict of tensors"):
        unwrap({"epoch": 3, "optimizer": {"lr": 1.0}})


def test_what_does_not_fit_is_named(family, state):
    official = to_official("glmamba_tiny", state)
    first, second = list(official)[:2]
    del official[first]
    official[second] = torch.zeros(1, 2, 3)
    official["stray"] = torch.zeros(1)
    with pytest.raises(WeightsError) as caught:
        from_official("glmamba_tiny", official)
    message = str(caught.value)
    assert (
        f"missing: {first}" in message and "unexpected: stray" in message and f"shapes: {second} (1, 2, 3) instead of" in message
    )
    with pytest.raises(WeightsError, match="the state dict does not fit"):
        to_official("glmamba_tiny", {})


def test_a_map_that_loses_a_name_is_a_defect(monkeypatch, state):
    monkeypatch.setattr("cdzoo.convert.KEY_MAPS", [KeyMap(("glmamba_tiny",), lambda key: "same", "x/y")])
    with pytest.raises(ConfigError, match="not one-to-one"):
        to_official("glmamba_tiny", state)


def test_models_without_official_code_say_so(state):
    assert not convertible("glmamba_levir")
    with pytest.raises(ConfigError, match="no official checkpoint format is known for 'glmamba_levir'"):
        from_official("glmamba_levir", state)
