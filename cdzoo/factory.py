"""`create_model` and `list_models`: from names to instances."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from cdzoo.config import INSTANCE, OTHER_MEAN, OTHER_STD, ModelCfg, PartCfg
from cdzoo.errors import CdzooError, ConfigError
from cdzoo.models.detector import ChangeDetector
from cdzoo.part import Backbone, LevelDecoder, LevelFusion, PerLevelDecoder, PerLevelFusion
from cdzoo.registry import MODELS, PARTS, nearest

_OPTIONAL = ("neck", "decoder")
_PLAIN = ("in_chans", "num_classes", "siamese", "mean", "std")
_OVERRIDES = (*PARTS, *(f"{kind}_kwargs" for kind in PARTS), *_PLAIN)


def list_models(pattern: str | Iterable[str] = "*", *, pretrained: bool = False, exclude: str | Iterable[str] = ()) -> list[str]:
    """Return registered model names in natural order.

    Args:
        pattern: fnmatch wildcard or several of them.
        pretrained: Only models for which weights are published; `list_pretrained` names the weights.
        exclude: Wildcards of names to leave out.
    """
    names = MODELS.list(pattern, exclude)
    if not pretrained:
        return names
    from cdzoo.weights import list_pretrained

    there = {weight.partition(".")[0] for weight in list_pretrained()}
    return [name for name in names if name in there]


def create_model(
    name: str, pretrained: bool = False, backbone_weights: str | os.PathLike[str] | None = None, **overrides: Any
) -> ChangeDetector:
    """Build a change detector from its name.

    With weights, all of them must fit. Only `in_chans` and `num_classes` may be others than the weights were made for: the
    kernels of the first layer are then spread over the bands, the last layer starts anew, and a warning says so.

    Args:
        name: A registered model (`list_models()`), with or without the tag of a weight (`model.tag`), `local-dir:PATH` for a
            folder written by `save_pretrained`, or `hf-hub:owner/name[@revision]` for such a folder on the Hugging Face Hub;
            the last two come with weights.
        pretrained: Load the published weights of a registered model, the default ones if no tag is given.
        backbone_weights: Weights for the backbone alone: a folder or file written by `cdzoo convert --backbone`.
        **overrides: `backbone`, `neck`, `fusion`, `decoder`, `head`: a name, `(name, kwargs)`, an instance, or None (neck and
            decoder); `<part>_kwargs`: arguments of a part; `in_chans` (an integer, or one per date), `num_classes`,
            `siamese`, `mean`, `std`.

    Returns:
        The model in training mode (call `.eval()`), on the CPU, in float32.

    Raises:
        UnknownNameError: No such model or part; the nearest names are given.
        ConfigError: An override or a part's argument is unknown or unusable.
        ChannelMismatchError: Parts do not fit each other.
        WeightsError: Weights were asked for and are not there or do not fit.
    """
    scheme, rest = _parse_name(name)
    # Reads files; not needed to build a model.
    from cdzoo.weights.folder import load_backbone, load_pretrained

    if scheme and backbone_weights is not None:
        raise ConfigError(f"{name} holds the weights of its backbone already: backbone_weights cannot be given too")
    if scheme:
        return load_pretrained(scheme, rest, overrides)
    if pretrained:
        if backbone_weights is not None:
            raise ConfigError("pretrained=True loads the backbone too: give either pretrained or backbone_weights")
        return _create_pretrained(name, overrides)
    model_name, _, tag = name.partition(".")
    if tag:
        from cdzoo.weights.registry import get_pretrained

        get_pretrained(name)  # a wrong tag is a mistake with or without weights
    model = build(MODELS.get(model_name)(), overrides)
    if backbone_weights is not None:
        load_backbone(model, backbone_weights)
    return model


def _create_pretrained(name: str, overrides: Mapping[str, Any]) -> ChangeDetector:
    """Build a registered model with its published weights."""
    from cdzoo.weights import WEIGHTS_FILE, bundled_folder, get_pretrained, load_weights

    weight = get_pretrained(name)
    config = MODELS.get(weight.model)()
    if weight.mean:
        config = dataclasses.replace(config, mean=weight.mean, std=weight.std)
    model = build(config, overrides)
    if weight.repo:
        from cdzoo.hub import download

        file = download(f"{weight.repo}@{weight.revision}", WEIGHTS_FILE)
    else:
        file = bundled_folder(weight) / WEIGHTS_FILE
    load_weights(model, file, sha256=weight.sha256, adapt_bands="in_chans" in overrides, adapt_classes="num_classes" in overrides)
    return model


def build(config: ModelCfg, overrides: Mapping[str, Any] | None = None) -> ChangeDetector:
    """Build the model that `config` describes, with some of it replaced.

    Raises:
        ConfigError: An override is unknown.
    """
    config, instances = _override(config, dict(overrides or {}))
    try:
        return _assemble(config, instances)
    except CdzooError:
        raise
    except TypeError as error:
        raise ConfigError(f"model '{config.name}' cannot be built: {error}") from error


def _parse_name(name: str) -> tuple[str, str]:
    # Two letters at least, so that a Windows drive is no scheme.
    match = re.fullmatch(r"([a-z][a-z0-9\-]+):(.*)", name)
    if match:
        if match[1] not in ("local-dir", "hf-hub"):
            raise ConfigError(f"'{match[1]}:' in '{name}' is no source of models; there are local-dir:PATH and hf-hub:owner/name")
        return match[1], match[2]
    if "/" in name or "\\" in name:
        raise ConfigError(f"'{name}' is no model name; did you mean 'local-dir:{name}' or 'hf-hub:{name}'?")
    return "", name


def _override(config: ModelCfg, overrides: dict[str, Any]) -> tuple[ModelCfg, dict[str, nn.Module]]:
    for key in overrides:
        if key not in _OVERRIDES:
            raise ConfigError(
                f"create_model has no argument '{key}'.{nearest(key, _OVERRIDES)} It takes: {', '.join(_OVERRIDES)}"
            )
    changes: dict[str, Any] = {key: overrides[key] for key in _PLAIN if overrides.get(key) is not None}
    for key in ("in_chans", "mean", "std"):
        if isinstance(changes.get(key), Sequence):
            changes[key] = tuple(changes[key])
    if changes.get("in_chans", config.in_chans) != config.in_chans:
        # The recipe's statistics belong to its own bands.
        changes.setdefault("mean", OTHER_MEAN)
        changes.setdefault("std", OTHER_STD)
    instances: dict[str, nn.Module] = {}
    for kind in PARTS:
        current: PartCfg | None = getattr(config, kind)
        if kind in overrides:
            chosen = overrides[kind]
            if isinstance(chosen, nn.Module):
                instances[kind] = chosen
                current = PartCfg(f"{INSTANCE}{type(chosen).__name__}")
            else:
                current = _part_cfg(kind, chosen, current)
        extra = overrides.get(f"{kind}_kwargs")
        if extra:
            if current is None or kind in instances:
                raise ConfigError(f"{kind}_kwargs was given, but the {kind} is {'an instance' if current else 'None'}")
            current = PartCfg(current.name, {**current.kwargs, **extra})
        changes[kind] = current
    return dataclasses.replace(config, **changes), instances


def _part_cfg(kind: str, chosen: Any, current: PartCfg | None) -> PartCfg | None:
    if chosen is None:
        if kind not in _OPTIONAL:
            raise ConfigError(f"a model needs a {kind}; only {' and '.join(_OPTIONAL)} can be None")
        return None
    if isinstance(chosen, PartCfg):
        return chosen
    if isinstance(chosen, str):
        # The same name keeps the recipe's arguments; another part knows nothing of them.
        return current if current is not None and current.name == chosen else PartCfg(chosen)
    if isinstance(chosen, Sequence) and len(chosen) == 2 and isinstance(chosen[0], str) and isinstance(chosen[1], Mapping):
        return PartCfg(chosen[0], dict(chosen[1]))
    raise ConfigError(f"{kind} must be a name, (name, kwargs), an instance or a PartCfg, got {chosen!r}")


def _assemble(config: ModelCfg, instances: dict[str, nn.Module]) -> ChangeDetector:
    if "backbone" in instances and not config.siamese:
        raise ConfigError("siamese=False makes two backbones: give ChangeDetector(backbone=..., backbone2=...) two instances")
    backbones: list[Any] = [
        instances.get("backbone") or _build_backbone(config.backbone, bands) for bands in _backbone_bands(config, instances)
    ]
    first = backbones[0]
    channels, strides = getattr(first, "out_channels", ()), getattr(first, "out_strides", ())
    parts: dict[str, Any] = {}
    for kind in ("neck", "fusion", "decoder"):
        part_cfg: PartCfg | None = getattr(config, kind)
        part: Any = None
        if kind in instances:
            part = _spread(kind, instances[kind], channels)
        elif part_cfg is not None:
            part = _build_pyramid_part(kind, part_cfg, channels, strides)
        if part is not None:
            channels, strides = getattr(part, "out_channels", channels), getattr(part, "out_strides", None) or strides
        parts[kind] = part
    head: Any = instances.get("head")
    if head is None:
        factory = PARTS["head"].get(config.head.name)
        given = {"in_channels": channels, "in_strides": strides, "num_classes": config.num_classes}
        head = _call("head", config.head, factory, given)
    return ChangeDetector(
        backbone=first,
        **parts,
        head=head,
        backbone2=backbones[1] if len(backbones) > 1 else None,
        config=config,
    )


def _backbone_bands(config: ModelCfg, instances: Mapping[str, nn.Module]) -> tuple[int, ...]:
    """Return the bands that each backbone takes; early fusion has one backbone for the bands of both dates."""
    factory = instances.get("fusion") or PARTS["fusion"].get(config.fusion.name)
    if getattr(factory, "early", False):
        if not config.siamese:
            raise ConfigError(
                f"fusion '{config.fusion.name}' joins the dates before the backbone: siamese=False, a backbone for each date, "
                "needs a fusion that meets their features"
            )
        return (sum(config.bands),)
    if config.siamese and config.bands[0] != config.bands[1]:
        raise ConfigError(
            f'in_chans={config.bands}: dates of different bands need a backbone each (siamese=False) or fusion="early"'
        )
    return config.bands[:1] if config.siamese else config.bands


def _build_backbone(part: PartCfg, bands: int) -> Backbone:
    from cdzoo.backbones.timm import PREFIX, TimmBackbone

    if part.name.startswith(PREFIX):
        return TimmBackbone(part.name.removeprefix(PREFIX), in_chans=bands, **part.kwargs)
    return _call("backbone", part, PARTS["backbone"].get(part.name), {"in_chans": bands})


def _build_pyramid_part(kind: str, part: PartCfg, channels: Sequence[int], strides: Sequence[int]) -> nn.Module:
    factory = PARTS[kind].get(part.name)
    if isinstance(factory, type) and issubclass(factory, LevelFusion):
        return PerLevelFusion([_call(kind, part, factory, {"channels": c}) for c in channels], strides)
    if isinstance(factory, type) and issubclass(factory, LevelDecoder):
        return PerLevelDecoder([_call(kind, part, factory, {"channels": c}) for c in channels], strides)
    return _call(kind, part, factory, {"in_channels": tuple(channels), "in_strides": tuple(strides)})


def _spread(kind: str, instance: nn.Module, channels: Sequence[int]) -> nn.Module:
    if isinstance(instance, LevelFusion | LevelDecoder):
        raise ConfigError(
            f"{type(instance).__name__} is the {kind} of one level: pass PerLevel{kind.capitalize()}([...]) with one for each "
            f"of the channels {tuple(channels)}, or its registered name"
        )
    return instance


def _call(kind: str, part: PartCfg, factory: Callable[..., Any], given: dict[str, Any]) -> Any:
    parameters = inspect.signature(factory).parameters
    own = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and name not in given]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key in part.kwargs:
        if key in given:
            raise ConfigError(f"{kind} '{part.name}': '{key}' follows from the parts before it and cannot be set")
        if key not in own and not open_ended:
            takes = f"It takes: {', '.join(own)}" if own else "It takes none"
            raise ConfigError(f"{kind} '{part.name}' has no argument '{key}'.{nearest(key, own)} {takes}")
    return factory(**given, **part.kwargs)
