"""Models and thresholds as arguments of `predict_pair` and `predict_scene`."""

from __future__ import annotations

from pathlib import Path

from cdzoo.data.protocols import get_protocol
from cdzoo.errors import ConfigError, InputError
from cdzoo.factory import create_model
from cdzoo.inference.model import PairModel
from cdzoo.inference.onnx import OnnxModel, is_exported
from cdzoo.models.detector import ChangeDetector
from cdzoo.weights.source import parse_name


def resolve_model(model: PairModel | str | Path) -> PairModel:
    """Return a model, loading it with its weights if a name or a file is given.

    Args:
        model: Model; a name as for `create_model`, without a tag or scheme for its default weights; or the path of an exported
            `.onnx` file.

    Raises:
        ConfigError: `model` is none of them, or is not a model of two dates.
        InputError: The exported file cannot be used, see `OnnxModel`.
        UnknownNameError: The model or the tag does not exist.
        WeightsError: No weights of the model are published, or they cannot be loaded.
    """
    if isinstance(model, str | Path) and is_exported(model):
        return OnnxModel(model)
    if isinstance(model, str):
        model = create_model(model, pretrained=not parse_name(model)[0])
    if not isinstance(model, ChangeDetector | OnnxModel):
        raise ConfigError(
            f"model must be a ChangeDetector, the name of one, or an exported .onnx file, got {type(model).__name__}"
        )
    if model.num_dates != 2:
        raise ConfigError(f"pairs need a model of two dates; {model.config.name} has {model.num_dates}")
    return model


def resolve_threshold(model: PairModel, threshold: float | None) -> float:
    """Return the minimum probability for a pixel to count as changed.

    Args:
        model: The model.
        threshold: Threshold in (0, 1); None for that of the exported file, of the published weights of the model, or else of the
            default protocol.

    Raises:
        InputError: The threshold is out of range.
    """
    if threshold is None and isinstance(model, OnnxModel):
        return model.metadata.threshold
    if threshold is None:
        return get_protocol(None).threshold if model.pretrained_cfg is None else model.pretrained_cfg.threshold
    if not 0 < threshold < 1:
        raise InputError(f"threshold must be between 0 and 1, got {threshold}")
    return threshold
