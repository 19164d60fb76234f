"""Unknown arguments of `create_model`: messages with the nearest name, or the equivalent in other libraries."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from cdzoo.errors import ConfigError
from cdzoo.names import suggest

F = TypeVar("F", bound=Callable[..., Any])

_HINTS = {
    "name": "model_name",
    "in_channels": "in_chans",
    "classes": "num_classes",
    "pretrained_backbone": "backbone_pretrained",
    "encoder_name": 'backbone="timm/NAME"',
    "encoder_weights": "backbone_pretrained=True",
    "encoder_depth": 'backbone_kwargs={"out_indices": ...}',
    "decoder_channels": "decoder_kwargs={...}",
    "drop_path_rate": 'backbone_kwargs={"drop_path": ...}',
    "features_only": "model.forward_features(...)",
    "activation": "model.probabilities(logits)",
    "img_size": "no argument: images of any size of at least 32 pixels are accepted",
}
"""Equivalents of arguments of timm and segmentation_models.pytorch."""


def suggest_arguments(function: F) -> F:
    """Raise `ConfigError` for unknown keyword arguments, with the nearest name or the equivalent of other libraries."""
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        for name in kwargs:
            if name not in names:
                hint = f" Use {_HINTS[name]}." if name in _HINTS else suggest(name, names)
                raise ConfigError(f"{function.__name__} has no argument '{name}'.{hint} Arguments: {', '.join(names)}")
        return function(*args, **kwargs)

    return wrapped  # type: ignore[return-value]
