"""Entry points of `torch.hub.load("owner/cdzoo", "glmamba_tiny")`: one per registered model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import cdzoo as _cdzoo

dependencies = ["torch", "timm", "safetensors", "huggingface_hub", "lazy_loader", "pydantic"]


def _entry_point(name: str) -> Callable[..., _cdzoo.ChangeDetector]:
    # Not functools.partial: torch.hub requires a function with a docstring.
    @functools.wraps(_cdzoo.create_model, assigned=())
    def create(pretrained: bool | str = False, **options: Any) -> _cdzoo.ChangeDetector:
        return _cdzoo.create_model(name, pretrained, **options)

    create.__name__ = name
    create.__doc__ = f"Create `{name}`; the arguments are those of `cdzoo.create_model`."
    return create


globals().update({name: _entry_point(name) for name in _cdzoo.list_models()})
