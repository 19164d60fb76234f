"""`from_official` and `to_official`: strict in both directions, by one table per family."""

from __future__ import annotations

import fnmatch
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cdzoo.convert.family import FAMILIES, Family
from cdzoo.errors import ConfigError, WeightsError
from cdzoo.registry import MODELS

_WRAPPERS = ("state_dict", "model_state_dict", "model_G_state_dict", "model", "net", "network")
_SHOWN = 6


def convertible(model_name: str) -> bool:
    """Tell whether official checkpoints of a registered model can be read."""
    return _family(model_name) is not None


def from_official(model_name: str, state_dict: Mapping[str, Any], **overrides: Any) -> dict[str, Tensor]:
    """Rename the parameters of an official checkpoint to ours.

    Args:
        model_name: Registered model.
        state_dict: Official names to tensors; a training checkpoint that holds one under "state_dict", "model" and the like,
            and names that begin with "module.", are understood.
        **overrides: Of `create_model`, for a checkpoint of another number of classes or bands.

    Returns:
        What `create_model(model_name).load_state_dict` takes, strictly.

    Raises:
        ConfigError: No official network is known for this model.
        WeightsError: Keys are missing or unexpected, or shapes differ; they are named.
    """
    family = _require_family(model_name)
    given = {key: value for key, value in unwrap(state_dict).items() if not _ignored(family, key)}
    expected = official_keys(model_name, **overrides)
    compare(f"the checkpoint of {family.source}", given, {official: shape for official, shape in expected.values()}, model_name)
    return {ours: given[official] for ours, (official, _) in expected.items()}


def to_official(model_name: str, state_dict: Mapping[str, Tensor], **overrides: Any) -> dict[str, Tensor]:
    """Rename our parameters to those of the official code; the inverse of `from_official`.

    Raises:
        ConfigError: No official network is known for this model.
        WeightsError: The state dict is not one of `model_name`; keys and shapes that differ are named.
    """
    _require_family(model_name)
    expected = official_keys(model_name, **overrides)
    compare("the state dict", state_dict, {ours: shape for ours, (_, shape) in expected.items()}, model_name)
    return {official: state_dict[ours] for ours, (official, _) in expected.items()}


def official_keys(model_name: str, **overrides: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return (official name, shape) of every parameter and buffer of a registered model, by our name."""
    from cdzoo.factory import create_model

    family = _require_family(model_name)
    with torch.device("meta"):
        state = create_model(model_name, **overrides).state_dict()
    keys = {ours: (family.official_key(ours), tuple(value.shape)) for ours, value in state.items()}
    if len({official for official, _ in keys.values()}) != len(keys):
        raise ConfigError(f"the key map of '{model_name}' is not one-to-one")
    return keys


def unwrap(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the state dict inside a training checkpoint, without the `module.` that data parallel training adds.

    Raises:
        WeightsError: There is no mapping of names to tensors in it.
    """
    inner: Any = checkpoint
    for _ in range(len(_WRAPPERS)):
        found = next((key for key in _WRAPPERS if isinstance(inner, Mapping) and isinstance(inner.get(key), Mapping)), None)
        if found is None:
            break
        inner = inner[found]
    if not isinstance(inner, Mapping) or not inner or not all(isinstance(value, Tensor) for value in inner.values()):
        raise WeightsError(f"this is no state dict of tensors, nor does it hold one under any of {', '.join(_WRAPPERS)}")
    if all(key.startswith("module.") for key in inner):
        return {key.removeprefix("module."): value for key, value in inner.items()}
    return dict(inner)


def _family(model_name: str) -> Family | None:
    package = importlib.import_module("cdzoo.convert")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"cdzoo.convert.{module.name}")
    name = MODELS.get(model_name)().name  # an alias becomes the name
    return next((family for family in FAMILIES if family.covers(name)), None)


def _require_family(model_name: str) -> Family:
    family = _family(model_name)
    if family is None:
        known = [name for name in MODELS.list() if convertible(name)]
        raise ConfigError(
            f"no official checkpoint format is known for '{model_name}'. Those of these models can be converted: "
            f"{', '.join(known) or 'none'}"
        )
    return family


def _ignored(family: Family, key: str) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in family.ignored)


def compare(what: str, given: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], model_name: str) -> None:
    """Raise unless `given` has exactly the keys and shapes of `expected`.

    Raises:
        WeightsError: Keys are missing or unexpected, or shapes differ; they are named.
    """
    missing = [key for key in expected if key not in given]
    unexpected = [key for key in given if key not in expected]
    shapes = [
        f"{key} {tuple(given[key].shape)} instead of {shape}"
        for key, shape in expected.items()
        if key in given and tuple(given[key].shape) != shape
    ]
    found = [
        f"{label}: {_some(keys)}"
        for label, keys in (("missing", missing), ("unexpected", unexpected), ("shapes", shapes))
        if keys
    ]
    if found:
        raise WeightsError(f"{what} does not fit '{model_name}' ({len(expected)} tensors expected): {'; '.join(found)}")


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more
