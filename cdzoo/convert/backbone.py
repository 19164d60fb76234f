"""`backbone_from_official`: ImageNet checkpoints of VMamba for the `vmamba_*` backbones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cdzoo.convert.official import compare, unwrap
from cdzoo.convert.vmamba import vmamba_key
from cdzoo.errors import ConfigError
from cdzoo.registry import BACKBONES

SOURCE = "MzeroMiko/VMamba"


def backbone_from_official(name: str, state_dict: Mapping[str, Any], **options: Any) -> dict[str, Tensor]:
    """Rename the parameters of a classifier that was trained on ImageNet to those of our backbone.

    Its classifier is left out. The layer norms of the returned levels, which a classifier has not, start as ones and zeros.

    Args:
        name: `"vmamba_tiny"`, `"vmamba_small"` or `"vmamba_base"`.
        state_dict: Official names to tensors; a training checkpoint that holds them under "model" is understood.
        **options: Arguments of the backbone, such as `depths`, when they are not its defaults.

    Returns:
        What the backbone's `load_state_dict` takes, strictly.

    Raises:
        ConfigError: No official checkpoint is known for this backbone.
        WeightsError: Keys are missing or unexpected, or shapes differ; they are named.
    """
    from cdzoo.backbones import VMamba  # parts import the registry; this module is imported while they register

    known = BACKBONES.list("vmamba_*")
    if name not in known:
        raise ConfigError(f"no official checkpoint format is known for the backbone '{name}'. Known: {', '.join(known)}")
    with torch.device("meta"):
        backbone: VMamba = BACKBONES.get(name)(**options)
    shapes = {key: tuple(value.shape) for key, value in backbone.state_dict().items()}
    given = {key: value for key, value in unwrap(state_dict).items() if not key.startswith("classifier.")}
    expected = {vmamba_key(key): shape for key, shape in shapes.items() if not key.startswith("norms.")}
    compare(f"the checkpoint of {SOURCE}", given, expected, name)
    fresh = nn.ModuleList(nn.LayerNorm(channels) for channels in backbone.out_channels).state_dict(prefix="norms.")
    return {key: fresh[key] if key in fresh else given[vmamba_key(key)] for key in shapes}
