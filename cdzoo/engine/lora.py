"""Low-rank adapters (LoRA) of the linear layers of a backbone, by the library `peft`.

Source: E. J. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, arXiv 2106.09685.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from cdzoo.components import Backbone
from cdzoo.engine.groups import is_added
from cdzoo.errors import ConfigError, require

_Replaced = list[tuple[nn.Module, str, nn.Module]]


def add_adapters(encoder: Backbone, rank: int, seed: int) -> None:
    """Add adapters to all linear layers of a backbone; its own parameters no longer require gradients, except for `added` ones.

    A layer computes W x + B A x with A of shape (rank, inputs) and B, which is zero at first, of shape (outputs, rank).

    Args:
        encoder: Backbone; changed in place.
        rank: Rank of the adapters.
        seed: Seed of the initial values.

    Raises:
        ConfigError: The backbone has no linear layers.
        MissingDependencyError: peft is not installed.
    """
    peft: Any = require("peft", "lora", "low-rank adapters")
    layers = [name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ConfigError(f"lora={rank}: {type(encoder).__name__} has no linear layers; use a transformer, or freeze=backbone")
    config = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules="|".join(map(re.escape, layers)))
    devices = [parameter.device for parameter in encoder.parameters() if parameter.is_cuda][:1]
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(config, encoder)
    for name, parameter in encoder.named_parameters():
        if is_added(encoder, name):
            parameter.requires_grad_(True)


@contextmanager
def merged(model: nn.Module) -> Iterator[None]:
    """Context in which adapters are added to the weights of their layers, so that the model has the keys of one without them."""
    replaced = _replace(model, merge=True)
    try:
        yield
    finally:
        for parent, name, layer in replaced:
            setattr(parent, name, layer)


def remove_adapters(model: nn.Module) -> None:
    """Remove the adapters; the layers have the weights that they had before."""
    _replace(model, merge=False)
    for module in model.modules():
        if hasattr(module, "peft_config"):  # of peft, which would take the next adapters for additional ones
            del module.peft_config


def _replace(model: nn.Module, merge: bool) -> _Replaced:
    """Replace layers with adapters by plain ones; return them with their parents and names."""
    replaced: _Replaced = []
    for path, layer in [(path, module) for path, module in model.named_modules() if hasattr(module, "lora_A")]:
        adapted: Any = layer
        plain = adapted.get_base_layer()
        if merge:
            plain = copy.deepcopy(plain)
            with torch.no_grad():
                plain.weight += adapted.get_delta_weight("default")
        parent, _, name = path.rpartition(".")
        replaced.append((model.get_submodule(parent), name, layer))
        setattr(replaced[-1][0], name, plain)
    return replaced
