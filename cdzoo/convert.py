"""Conversion of official checkpoints to models of the zoo and back, strict in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cdzoo.backbones.timm import PREFIX
from cdzoo.errors import ConfigError
from cdzoo.models.assemble import assemble, override
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.mit_keys import MIT
from cdzoo.models.timm_weights import timm_encoder_weights
from cdzoo.models.vmamba_keys import VMAMBA
from cdzoo.registry import BACKBONES, MODELS
from cdzoo.weights.keys import KEY_MAPS, KeyMap
from cdzoo.weights.state import check_state, unwrap


def convertible(model_name: str) -> bool:
    """Return whether official checkpoints of a registered model can be converted."""
    return _find_key_map(model_name) is not None


def from_official(model_name: str, state_dict: Mapping[str, Any], **options: Any) -> dict[str, Tensor]:
    """Rename the parameters of an official checkpoint.

    Args:
        model_name: Registered model.
        state_dict: Official names to tensors. Training checkpoints that contain it under "state_dict", "model" and the like,
            and names with the prefix "module.", are accepted.
        **options: Options of `create_model`, for checkpoints with another number of classes or bands.

    Returns:
        State dict of `create_model(model_name)`.

    Raises:
        ConfigError: The official code of this model is unknown.
        WeightsError: Keys are missing or unexpected, or shapes differ. The message names them.
    """
    return _rename(_key_map(model_name), state_dict, _state(model_name, **options), model_name)


def _rename(key_map: KeyMap, state_dict: Mapping[str, Any], state: Mapping[str, Tensor], target: str) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint under the names of `state`, the state dict of the model or backbone `target`."""
    current = {key_map.current_key(key): value for key, value in unwrap(state_dict).items()}
    given = {key: value for key, value in current.items() if not key_map.ignores(key)}
    groups = key_map.group(state)
    expected = {official: key_map.join(official, [state[key] for key in keys]) for official, keys in groups.items()}
    check_state(f"the checkpoint of {key_map.source}", given, expected, target)
    ours: dict[str, Tensor] = {}
    for official, keys in groups.items():
        ours.update(zip(keys, key_map.split(official, given[official], [state[key] for key in keys]), strict=True))
    return {key: ours[key] for key in state}


def to_official(model_name: str, state_dict: Mapping[str, Tensor], **options: Any) -> dict[str, Tensor]:
    """Rename the parameters of a model to the names of the official code; the inverse of `from_official`.

    Raises:
        ConfigError: The official code of this model is unknown.
        WeightsError: The state dict is not that of `model_name`. The message names keys and shapes that differ.
    """
    key_map, state = _key_map(model_name), _state(model_name, **options)
    check_state("the state dict", state_dict, state, model_name)
    groups = key_map.group(state)
    official = {name: key_map.join(name, [state_dict[key] for key in keys]) for name, keys in groups.items()}
    for prefix, copy in key_map.copies:
        official |= {copy + name.removeprefix(prefix): value for name, value in official.items() if name.startswith(prefix)}
    return official


def _state(model_name: str, **options: Any) -> dict[str, Tensor]:
    """Return the state dict of a registered model on the meta device."""
    config, instances = override(MODELS.get(model_name)(), options)
    with torch.device("meta"):
        return ChangeDetector(**assemble(config, instances), config=config).state_dict()


def backbone_from_official(name: str, state_dict: Mapping[str, Any], **kwargs: Any) -> dict[str, Tensor]:
    """Rename the parameters of an ImageNet classifier to those of a backbone.

    The classifier is ignored. The layer norms of the output levels of VMamba, which its classifier does not have, are
    initialized.

    Args:
        name: `"vmamba_tiny"`, `"vmamba_small"`, `"vmamba_base"`, `"mit_b0"`, `"mit_b1"`, or `"timm/NAME"`, see
            `timm_encoder_weights`.
        state_dict: Official names to tensors, or a training checkpoint that contains them.
        **kwargs: Arguments of the backbone, such as `depths`, that differ from its defaults.

    Returns:
        State dict of the backbone.

    Raises:
        ConfigError: The official code of this backbone is unknown.
        WeightsError: Keys are missing or unexpected, or shapes differ. The message names them.
    """
    if name.startswith(PREFIX):
        return timm_encoder_weights(name, unwrap(state_dict))
    known = BACKBONES.list(["vmamba_*", "mit_*"])
    if name not in known:
        shown = ", ".join([*known, f"{PREFIX}NAME"])
        raise ConfigError(f"no official checkpoint format is known for the backbone '{name}'. Known: {shown}")
    with torch.device("meta"):
        backbone = BACKBONES.get(name)(**kwargs)
    wanted = backbone.state_dict()
    if name.startswith("mit_"):
        return _rename(MIT, state_dict, wanted, name)
    norms = nn.ModuleList(nn.LayerNorm(channels) for channels in backbone.out_channels).state_dict(prefix="norms.")
    return _rename(VMAMBA, state_dict, {key: wanted[key] for key in wanted if key not in norms}, name) | norms


def _find_key_map(model_name: str) -> KeyMap | None:
    name = MODELS.get(model_name)().name  # resolves aliases, and imports the key maps of the models
    return next((key_map for key_map in KEY_MAPS if key_map.covers(name)), None)


def _key_map(model_name: str) -> KeyMap:
    key_map = _find_key_map(model_name)
    if key_map is None:
        known = [name for name in MODELS.list() if convertible(name)]
        raise ConfigError(
            f"no official checkpoint format is known for '{model_name}'. Models with a known format: {', '.join(known) or 'none'}"
        )
    return key_map
