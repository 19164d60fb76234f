"""`create_model` and `list_models`: models by name, with or without weights."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cdzoo.backbones.timm import encoder_statistics
from cdzoo.config import ModelCfg
from cdzoo.errors import ConfigError, UnknownNameError
from cdzoo.io.files import file_sha256
from cdzoo.models.arguments import suggest_arguments
from cdzoo.models.assemble import DEFAULT, OPTIONS, Component, override
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.pretrained import check_same_components
from cdzoo.names import Patterns
from cdzoo.registry import MODELS, underlying
from cdzoo.tasks.base import Task
from cdzoo.weights.folder import ModelFiles, load_backbone
from cdzoo.weights.origin import Origin
from cdzoo.weights.pretrained import PretrainedCfg, get_pretrained, list_pretrained, weights_file
from cdzoo.weights.source import find_files, parse_name
from cdzoo.weights.state import check_state, read_checkpoint, unwrap
from cdzoo.weights.values import check_finite

PathLike = str | os.PathLike[str]


def list_models(filter: Patterns = "*", module: str = "", pretrained: bool = False, exclude_filters: Patterns = ()) -> list[str]:
    """Return the names of registered models in natural order.

    Args:
        filter: Wildcard (fnmatch), or several of them. Aliases of data sets, such as `bit_levir`, are only returned if a wildcard
            other than `"*"` matches them.
        module: Only models defined in this file of `cdzoo.models`, such as `"glmamba"`.
        pretrained: Only models with published weights; `list_pretrained` returns their tags.
        exclude_filters: Wildcards of names to leave out.
    """
    names = MODELS.list(filter, exclude_filters, aliases=filter != "*")
    if module:
        names = [name for name in names if underlying(MODELS.get(name)).__module__.rpartition(".")[2] == module]
    if pretrained:
        published = {tag.partition(".")[0] for tag in list_pretrained()}
        names = [name for name in names if name in published]
    return names


def is_model(name: str) -> bool:
    """Return whether `name` is a registered model or one of its aliases."""
    return name in MODELS


def list_architectures() -> dict[str, list[str]]:
    """Return the registered models, each with its aliases."""
    aliases = MODELS.aliases()
    return {name: [alias for alias, target in aliases.items() if target == name] for name in MODELS.list()}


@suggest_arguments
def create_model(
    model_name: str,
    pretrained: bool | str = False,
    *,
    checkpoint_path: PathLike | None = None,
    cache_dir: PathLike | None = None,
    in_chans: int | tuple[int, ...] | None = None,
    num_classes: int | None = None,
    task: str | Task | None = None,
    class_names: Sequence[str] | None = None,
    siamese: bool | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    input_scale: float | None = None,
    backbone: Component | None = None,
    neck: Component | None = DEFAULT,
    fusion: Component | None = None,
    decoder: Component | None = DEFAULT,
    head: Component | None = None,
    branch_decoder: Component | None = DEFAULT,
    branch_head: Component | None = None,
    branch_shared: bool | None = None,
    backbone_kwargs: Mapping[str, Any] | None = None,
    neck_kwargs: Mapping[str, Any] | None = None,
    fusion_kwargs: Mapping[str, Any] | None = None,
    decoder_kwargs: Mapping[str, Any] | None = None,
    head_kwargs: Mapping[str, Any] | None = None,
    branch_decoder_kwargs: Mapping[str, Any] | None = None,
    branch_head_kwargs: Mapping[str, Any] | None = None,
    backbone_pretrained: bool = False,
    backbone_weights: PathLike | None = None,
) -> ChangeDetector:
    """Create a change detection model.

    With weights, all of them must match. Bands, classes and task may differ from those of the weights: the kernels of the first
    layer are then adapted to the bands, the classifier and the branches are reinitialized, and a warning is issued.

    Args:
        model_name: Registered model (`list_models()`); with a tag (`model.tag`), its weights are loaded. Also `local-dir:PATH`, a
            folder written by `save_pretrained`, or `hf-hub:owner/name[@revision]`, such a folder on the Hugging Face Hub.
        pretrained: Load the default weights of a registered model, or those of a tag.
        checkpoint_path: Weights of the whole model: a safetensors file, or a checkpoint of a state dict.
        cache_dir: Cache folder of downloads; that of `huggingface_hub` by default.
        in_chans: Number of bands of each date, or a tuple with one number per date.
        num_classes: Number of logits of the head. For `binary`, 1 for a sigmoid, 2 for a softmax whose class 0 is "no change"; by
            default as many as the task needs.
        task: Meaning of the outputs, see `cdzoo.tasks`: `"binary"`; `"multiclass"`, one map of kinds of change; `"semantic"`,
            change and the land cover of each date; `"damage"`, buildings and the grade of their damage. The last two have several
            outputs, computed by branches. An instance keeps its colors until the model is saved.
        class_names: Name of each class: of the kinds of change with "no change" first, of land cover, or of the grades.
        siamese: Whether the dates share one backbone (True), or have one each (False).
        mean: Mean of each band of images in [0, 1]; a single value applies to all bands. With pretrained weights of a timm
            encoder, mean and standard deviation are those of its training by default.
        std: Standard deviation of each band; a single value applies to all bands.
        input_scale: Factor by which height and width of images are multiplied before the network, from 0.1 to 8: in training, in
            prediction, and in evaluation, which all return maps of the size of the images. Below 1 the network sees more of the
            surroundings at lower cost. `forward` takes images that `preprocess` has resampled.
        backbone: Encoder: registered name, `"timm/NAME"`, (name, kwargs), instance or class. A module built by
            `timm.create_model(..., features_only=True)` is accepted too.
        neck: Neck; None or "none" for no neck.
        fusion: Fusion.
        decoder: Decoder; None or "none" for no decoder.
        head: Head.
        branch_decoder: Decoder of the further outputs of a task; None or "none" for no decoder.
        branch_head: Head of the further outputs of a task.
        branch_shared: Whether the dates share one branch decoder; they share the branch head.
        backbone_kwargs: Arguments of the backbone.
        neck_kwargs: Arguments of the neck.
        fusion_kwargs: Arguments of the fusion.
        decoder_kwargs: Arguments of the decoder.
        head_kwargs: Arguments of the head.
        branch_decoder_kwargs: Arguments of the branch decoder.
        branch_head_kwargs: Arguments of the branch head.
        backbone_pretrained: Load the weights that timm publishes for its encoder, from the Hugging Face Hub or its cache.
        backbone_weights: Weights of the backbone alone: a folder or file written by `cdzoo convert --backbone`. With another
            `in_chans`, its first layer is adapted.

    Returns:
        The model in training mode (call `.eval()`), on the CPU, in float32.

    Raises:
        UnknownNameError: The model, a component or a tag does not exist; the message suggests the nearest name.
        ConfigError: An argument is unknown or invalid.
        ChannelMismatchError: Components do not match each other.
        WeightsError: Weights are missing or do not match.
    """
    arguments = dict(locals())
    if isinstance(task, Task):
        if class_names is not None and tuple(class_names) != task.class_names:
            raise ConfigError(f"class_names={tuple(class_names)}, but the task has {task.class_names}: pass one of them")
        model = create_model(**{**arguments, "task": task.name, "class_names": task.class_names})
        model.task = task
        return model
    options = {name: value for name, value in arguments.items() if name in OPTIONS}
    _check_types(checkpoint_path=checkpoint_path, cache_dir=cache_dir, backbone_weights=backbone_weights)
    if not isinstance(backbone_pretrained, bool):
        raise ConfigError(f"backbone_pretrained must be True or False, got {backbone_pretrained!r}")
    if backbone_pretrained:
        options["backbone_kwargs"] = {**(backbone_kwargs or {}), "pretrained": True}
    scheme, _ = parse_name(model_name)
    weights = "" if scheme else _weights_name(model_name, pretrained)
    sources = {"pretrained": pretrained, "checkpoint_path": checkpoint_path, "backbone_weights": backbone_weights}
    sources["backbone_pretrained"] = backbone_pretrained
    given = [name for name, value in sources.items() if value] + ([f"'{model_name}'"] if scheme or "." in model_name else [])
    if len(given) > 1 and set(given) != {"pretrained", f"'{model_name}'"}:
        raise ConfigError(f"{' and '.join(given)} each load weights: pass one of them")
    if scheme:
        return ChangeDetector.from_pretrained(model_name, cache_dir=cache_dir, **options)
    if weights:
        return _create_pretrained(get_pretrained(weights), options, cache_dir)
    model = ChangeDetector.from_config(_registered_config(model_name), **options)
    encoder = model.config.backbone
    if backbone_weights is not None:
        load_backbone(model.encoders, encoder.name, backbone_weights)
    if encoder.kwargs.get("pretrained"):
        check_finite(f"the weights of {encoder.name}", model.state_dict())
    pretrained_encoder = backbone_weights is not None or encoder.kwargs.get("pretrained")
    if pretrained_encoder and mean is std is None and (statistics := encoder_statistics(encoder.name, model.config.bands)):
        model.config = dataclasses.replace(model.config, mean=statistics[0], std=statistics[1])
    if checkpoint_path is not None:
        state = unwrap(read_checkpoint(checkpoint_path))
        check_state(os.fspath(checkpoint_path), state, model.state_dict(), model.config.name)
        model.load_state_dict(state)
        model.origin = Origin(os.fspath(checkpoint_path), file_sha256(Path(checkpoint_path)))
    return model


def create_initialized(source: str, model_name: str = "", **options: Any) -> tuple[ChangeDetector, str]:
    """Create a model with the weights of another one of the same architecture, to continue training from them.

    If the number of bands or classes differs, the first layer is adapted or the classifier keeps its initial values, and a
    warning is issued. With the same bands, the model takes the mean and standard deviation that the weights expect, and their
    `input_scale` unless another one is passed.

    Args:
        source: Tag (`model.tag`), registered model with published weights, folder, `local-dir:PATH` or `hf-hub:owner/name`.
        model_name: Model that receives the weights, as for `create_model`; that of the weights by default.
        **options: Further arguments of `create_model`.

    Returns:
        The model, and the sha256 of the weights file.

    Raises:
        UnknownNameError: The model or the tag does not exist.
        InputError: The folder or one of its files does not exist.
        WeightsError: The weights do not match, cannot be downloaded, or are not published.
    """
    saved = os.path.isdir(source) or bool(parse_name(source)[0])
    if saved:
        files = find_files(source, cache_dir=options.get("cache_dir"))
    else:
        weights = get_pretrained(source)
        files = ModelFiles(_published_config(weights), weights_file(weights, options.get("cache_dir")), weights.sha256)
    others = [name for name in ("pretrained", "checkpoint_path", "backbone_weights", "backbone_pretrained") if options.get(name)]
    if model_name not in ("", source) and (parse_name(model_name)[0] or "." in model_name):
        others.append(f"'{model_name}'")
    if others:
        raise ConfigError(f"the weights of '{source}' and {' and '.join(others)} each initialize the model: pass one of them")
    if model_name in ("", source):
        name = f"local-dir:{source}" if os.path.isdir(source) else source
        model = create_model(name, **options) if saved else create_model(name, pretrained=True, **options)
    else:
        model = create_model(model_name, **options)
        check_same_components(source.removeprefix("local-dir:"), files.config, model.config)
        model.load_weights(files.weights, files.config, files.sha256, source.removeprefix("local-dir:"))
        if model.config.in_chans == files.config.in_chans:
            model.config = dataclasses.replace(model.config, mean=files.config.mean, std=files.config.std)
        if options.get("input_scale") is None:
            model.config = dataclasses.replace(model.config, input_scale=files.config.input_scale)
    return model, file_sha256(files.weights)


def save_pretrained(model: ChangeDetector, folder: PathLike, **options: Any) -> Any:
    """Write a model folder, see `ChangeDetector.save_pretrained`."""
    return model.save_pretrained(folder, **options)


def _check_types(**paths: Any) -> None:
    for name, path in paths.items():
        if not isinstance(path, str | os.PathLike | None):
            raise ConfigError(f"{name} must be a path, got {type(path).__name__}")


def _weights_name(model_name: str, pretrained: bool | str) -> str:
    """Return the published weights that a name without scheme and `pretrained` ask for: a tag or a model; empty for none."""
    base, dot, tag = model_name.partition(".")
    if not isinstance(pretrained, bool | str) or pretrained == "":
        raise ConfigError(f"pretrained must be True, False or a tag (see list_pretrained()), got {pretrained!r}")
    if dot and not tag:
        raise UnknownNameError(f"'{model_name}' has no tag after the dot; '{base}' is the model, list_pretrained() lists tags")
    if isinstance(pretrained, str):
        if tag and tag != pretrained:
            raise ConfigError(f"'{model_name}' and pretrained='{pretrained}' ask for different weights: pass one of them")
        tag = pretrained
    return f"{base}.{tag}" if tag else base if pretrained else ""


def _registered_config(name: str) -> ModelCfg:
    config = MODELS.get(name)()
    if not isinstance(config, ModelCfg):
        raise ConfigError(f"the registered model '{name}' must return a ModelCfg, got {type(config).__name__}")
    return config


def _create_pretrained(weights: PretrainedCfg, options: dict[str, Any], cache_dir: PathLike | None) -> ChangeDetector:
    saved = _published_config(weights)
    check_same_components(weights.name, saved, override(saved, options)[0])
    model = ChangeDetector.from_config(saved, **options)
    model.load_weights(weights_file(weights, cache_dir), saved, weights.sha256, weights.name)
    model.pretrained_cfg = weights
    return model


def _published_config(weights: PretrainedCfg) -> ModelCfg:
    given: dict[str, Any] = {"mean": weights.mean, "std": weights.std} if weights.mean else {}
    if weights.input_scale is not None:
        given["input_scale"] = weights.input_scale
    return dataclasses.replace(_registered_config(weights.model), **given)
