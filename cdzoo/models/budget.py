"""Limits of the size of a model, checked on the meta device before memory is allocated."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.modules import module as torch_module

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.errors import CdzooError, ConfigError
from cdzoo.models.assemble import assemble

MAX_MODULES = 5_000
"""More than the deepest encoders of timm have, and built within seconds."""
MAX_PARAMETERS = 3_000_000_000
_BYTES_PER_VALUE = 4


def check_size(config: ModelCfg, instances: Mapping[str, Any]) -> int:
    """Build a model on the meta device, which takes no memory, and return its number of parameters.

    Args:
        config: Description of the model.
        instances: Components that replace those of the config, see `assemble`.

    Returns:
        The number of parameters; 0 if a component cannot be built on the meta device.

    Raises:
        ConfigError: The model has more modules or parameters than this machine can build, or is invalid.
    """
    encoder = config.backbone
    if encoder.kwargs.get("pretrained"):  # a check needs no weights
        config = dataclasses.replace(config, backbone=ComponentCfg(encoder.name, {**encoder.kwargs, "pretrained": False}))
    try:
        with torch.device("meta"), counted(config.name) as count:
            assemble(config, instances)
    except CdzooError:
        raise
    except Exception:  # a component that computes values when it is built; the build itself is counted too
        return 0
    return count.parameters


@dataclasses.dataclass
class Count:
    """Modules and parameters registered so far."""

    modules: int = 0
    parameters: int = 0


@contextmanager
def counted(name: str) -> Iterator[Count]:
    """Context in which modules and parameters that this thread builds are counted.

    Raises:
        ConfigError: A layer is empty, or there are more modules or parameters than the limits.
    """
    count, own, most = Count(), threading.get_ident(), min(MAX_PARAMETERS, _memory() // _BYTES_PER_VALUE)

    def on_module(_parent: Any, _name: str, _child: Any) -> None:
        if threading.get_ident() == own:
            count.modules += 1
            if count.modules > MAX_MODULES:
                raise ConfigError(
                    f"the model '{name}' has more than {MAX_MODULES:,} modules: reduce the depths of its components"
                )

    def on_parameter(_module: Any, label: str, value: Any) -> None:
        if threading.get_ident() == own and value is not None:
            if value.ndim > 1 and not all(value.shape):
                raise ConfigError(
                    f"the model '{name}' has a layer without values ({label} {tuple(value.shape)}): an argument is 0"
                )
            count.parameters += value.numel()
            if count.parameters > most:
                raise ConfigError(
                    f"the model '{name}' has more than {most / 1e9:.1f} billion parameters (at {label}): reduce the channels of "
                    "its components"
                )

    handles = [
        torch_module.register_module_module_registration_hook(on_module),
        torch_module.register_module_parameter_registration_hook(on_parameter),
        torch_module.register_module_buffer_registration_hook(on_parameter),
    ]
    try:
        yield count
    finally:
        for handle in handles:
            handle.remove()


def _memory() -> int:
    """Return the bytes that this process may allocate at most."""
    limits = [20 << 30]  # where the system does not tell
    if hasattr(os, "sysconf"):
        limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
        import resource

        limits += [limit for limit in resource.getrlimit(resource.RLIMIT_AS) if limit != resource.RLIM_INFINITY]
    return min(limits)
