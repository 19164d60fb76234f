"""Models and thresholds as arguments of `predict_pair` and `predict_scene`."""

from __future__ import annotations

from cdzoo.data.protocols import get_protocol
from cdzoo.errors import ConfigError, InputError
from cdzoo.factory import create_model
from cdzoo.models.detector import ChangeDetector
from cdzoo.weights.source import parse_name


def resolve_model(model: ChangeDetector | str) -> ChangeDetector:
    """Return a model, loading it with its weights if a name is given.

    Args:
        model: Model, or a name as for `create_model`; without a tag or scheme, the default weights are loaded.

    Raises:
        ConfigError: `model` is neither, or is not a model of two dates.
        UnknownNameError: The model or the tag does not exist.
        WeightsError: No weights of the model are published, or they cannot be loaded.
    """
    if isinstance(model, str):
        model = create_model(model, pretrained=not parse_name(model)[0])
    if not isinstance(model, ChangeDetector):
        raise ConfigError(f"model must be a ChangeDetector or the name of one, got {type(model).__name__}")
    if model.num_dates != 2:
        raise ConfigError(f"pairs need a model of two dates; {model.config.name} has {model.num_dates}")
    return model


def resolve_threshold(model: ChangeDetector, threshold: float | None) -> float:
    """Return the minimum probability for a pixel to count as changed.

    Args:
        model: The model.
        threshold: Threshold in (0, 1); None for that of the published weights of the model, or else of the default protocol.

    Raises:
        InputError: The threshold is out of range.
    """
    if threshold is None:
        return get_protocol(None).threshold if model.pretrained_cfg is None else model.pretrained_cfg.threshold
    if not 0 < threshold < 1:
        raise InputError(f"threshold must be between 0 and 1, got {threshold}")
    return threshold
