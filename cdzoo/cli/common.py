"""Devices and models named on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cdzoo.errors import ConfigError


def pick_device(name: str) -> Any:
    """Return the `torch.device` called `name`; `"auto"` is CUDA, MPS or the CPU, in this order.

    Raises:
        ConfigError: The device does not exist.
    """
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(device for device in ("cuda", "mps", "cpu") if available[device]))
    if not available.get(name, False):
        shown = ", ".join(device for device in available if available[device])
        raise ConfigError(f"--device {name}: not available; available: {shown}, auto")
    return torch.device(name)


def model_source(name: str) -> str:
    """Return the model name for `create_model`: an existing folder needs no `local-dir:`."""
    return f"local-dir:{name}" if Path(name).is_dir() else name


def load_trained(name: str) -> Any:
    """Return a model with weights: of a folder, of the Hub, or the published weights of a registered model.

    Raises:
        WeightsError: No weights of the model are published.
    """
    from cdzoo.factory import create_model

    source = model_source(name)
    return create_model(source, pretrained=":" not in source and "." not in source)


def describe_weights(model: Any, name: str) -> str:
    """Return one line that names the weights of a model, their training data and their score."""
    cfg = model.pretrained_cfg
    if cfg is None:
        return f"weights {name}"
    scores = ", ".join(f"{score} {100 * value:.2f}" for score, value in cfg.metrics.items())
    return f"weights {cfg.name}, trained on {cfg.dataset}; {scores} ({cfg.provenance}, protocol {cfg.protocol})"
