"""What several commands share: the model named on the command line, and where it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cdzoo.errors import ConfigError
from cdzoo.factory import create_model
from cdzoo.models.detector import ChangeDetector


def build_model(model: str, **options: Any) -> ChangeDetector:
    """Build a model; options that were not given are None, and the word "none" leaves a neck or decoder out.

    A folder may be given without `local-dir:` in front of it.
    """
    overrides: dict[str, Any] = {
        name: None if isinstance(value, str) and value.lower() == "none" else value
        for name, value in options.items()
        if value is not None
    }
    return create_model(f"local-dir:{model}" if Path(model).is_dir() else model, **overrides)


def pick_device(name: str) -> torch.device:
    """Return the device called `name`; `"auto"` is CUDA, else MPS, else the CPU.

    Raises:
        ConfigError: There is no such device here.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(one for one in ("cuda", "mps", "cpu") if there[one]))
    if not there.get(name, False):
        raise ConfigError(f"--device {name}: not usable here; available: {', '.join(one for one in there if there[one])}, auto")
    return torch.device(name)
