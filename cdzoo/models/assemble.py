"""Construction of the components of a model from its config and replacements."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from cdzoo.backbones.exchange import add_exchanges
from cdzoo.backbones.features import wrap_backbone
from cdzoo.backbones.timm import PREFIX, TimmBackbone
from cdzoo.components import Backbone, LevelDecoder, LevelFusion, PerLevelDecoder, PerLevelFusion
from cdzoo.config import INSTANCE, OPTIONAL_ROLES, OTHER_MEAN, OTHER_STD, ROLES, ComponentCfg, ModelCfg
from cdzoo.errors import CdzooError, ConfigError
from cdzoo.models.branch import Branch, fill_branches
from cdzoo.names import check_known, suggest
from cdzoo.registry import COMPONENTS, underlying
from cdzoo.tasks import get_task
from cdzoo.validation import check_argument

Component = str | tuple[str, Mapping[str, Any]] | ComponentCfg | nn.Module | type[nn.Module]
"""A registered name, (name, kwargs), a config, an instance, or a class that is instantiated with the channels it receives."""

DEFAULT = "default"
"""Value of `neck`, `decoder` and `branch_decoder` that keeps those of the model, since None removes them."""
FIELDS = ("in_chans", "num_classes", "task", "class_names", "branch_shared", "siamese", "mean", "std", "input_scale")
"""Options that replace a field of `ModelCfg`."""
OPTIONS = (*ROLES, *(f"{role}_kwargs" for role in ROLES), *FIELDS)


def override(config: ModelCfg, options: Mapping[str, Any]) -> tuple[ModelCfg, dict[str, Any]]:
    """Apply options of `create_model` to a config.

    Args:
        config: Config of the registered or saved model.
        options: Any of `OPTIONS`; None keeps the value of the config, except that None and "none" remove the neck or decoder.

    Returns:
        The new config, and the components that were passed as instances or classes.

    Raises:
        ConfigError: An option is unknown or invalid.
    """
    for key in options:
        check_known("unknown option", key, OPTIONS)
    changes: dict[str, Any] = {key: options[key] for key in FIELDS if options.get(key) is not None}
    for key, value in changes.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            changes[key] = tuple(value)
    if changes.get("in_chans", config.in_chans) != config.in_chans:
        # The mean and std of the config apply to its own bands only.
        changes.setdefault("mean", OTHER_MEAN)
        changes.setdefault("std", OTHER_STD)
    config = _with_task(config, changes)
    instances: dict[str, Any] = {}
    for kind in ROLES:
        current: ComponentCfg | None = getattr(config, kind)
        chosen = options.get(kind, DEFAULT)
        if isinstance(chosen, nn.Module | type):
            instances[kind] = chosen
            current = ComponentCfg(f"{INSTANCE}{chosen.__name__ if isinstance(chosen, type) else type(chosen).__name__}")
        elif chosen != DEFAULT and not (chosen is None and kind not in OPTIONAL_ROLES):
            current = _component_cfg(kind, chosen, current)
        kwargs = options.get(f"{kind}_kwargs")
        if not isinstance(kwargs, Mapping | None):
            raise ConfigError(f"{kind}_kwargs must map names of arguments to values, got {type(kwargs).__name__}")
        if kwargs:
            if current is None or kind in instances:
                raise ConfigError(f"{kind}_kwargs was passed, but the {kind} is {'an instance' if current else 'None'}")
            current = ComponentCfg(current.name, {**current.kwargs, **kwargs})
        changes[kind] = current
    return dataclasses.replace(config, **changes), instances


def assemble(config: ModelCfg, instances: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Build the components that a config describes.

    Args:
        config: Description of the model.
        instances: Components by kind that replace those of the config: instances, or classes.

    Returns:
        Keyword arguments of `ChangeDetector`: `backbone`, `neck`, `fusion`, `decoder`, `head`, `backbone2`, `branches`.

    Raises:
        UnknownNameError: A component is not registered.
        ConfigError: An argument is unknown or invalid.
    """
    try:
        return _assemble(config, instances or {})
    except TypeError as error:
        raise ConfigError(f"the model '{config.name}' cannot be built: {error}") from error


def build_head(
    cfg: ComponentCfg, channels: Sequence[int], strides: Sequence[int] | None, num_classes: int, factory: Any = None
) -> Any:
    """Build a head, or that of a factory, for a pyramid of these channels and strides."""
    if factory is None:
        if cfg.name.startswith(INSTANCE):
            raise ConfigError(f"the head was passed as an instance ({cfg.name.removeprefix(INSTANCE)}): build another one")
        factory = COMPONENTS["head"].get(cfg.name)
    given = {"in_channels": tuple(channels), "in_strides": strides, "num_classes": num_classes}
    return _call("head", cfg, factory, given)


def _with_task(config: ModelCfg, changes: dict[str, Any]) -> ModelCfg:
    """Add the logits that a new task or its classes need to `changes`; return the config with branches if the task needs some."""
    if changes.get("task", config.task) != config.task:
        changes.setdefault("class_names", ())
    changed = dataclasses.replace(config, **changes)  # raises for values of the wrong type
    before, task = (get_task(one.task, one.class_names) for one in (config, changed))
    if (task.name, task.default_num_classes) != (before.name, before.default_num_classes):
        changes.setdefault("num_classes", task.default_num_classes)
    if not changes.keys() & {"task", "class_names"}:
        return config
    return fill_branches(dataclasses.replace(config, num_classes=changes.get("num_classes", config.num_classes)), task)


def _assemble(config: ModelCfg, instances: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(instances.get("backbone"), nn.Module) and not config.siamese:
        raise ConfigError("siamese=False requires two backbones: pass two instances, ChangeDetector(backbone=..., backbone2=...)")
    backbones = [_build_backbone(config, instances.get("backbone"), bands) for bands in _backbone_bands(config, instances)]
    built: dict[str, Any] = {"backbone": backbones[0], "backbone2": backbones[1] if len(backbones) > 1 else None}
    channels, strides = backbones[0].out_channels, backbones[0].out_strides
    for kind in ("neck", "fusion", "decoder"):
        cfg: ComponentCfg | None = getattr(config, kind)
        component: Any = instances.get(kind)
        if isinstance(component, nn.Module):
            _check_level(kind, component, channels)
        elif cfg is not None:
            factory = component or COMPONENTS[kind].get(cfg.name)
            component = _build_pyramid_component(kind, cfg, factory, channels, strides)
        if component is not None:
            channels = getattr(component, "out_channels", channels)
            strides = getattr(component, "out_strides", None) or strides
        built[kind] = component
    head: Any = instances.get("head")
    if not isinstance(head, nn.Module):
        head = build_head(config.head, channels, strides, config.num_classes, head)
    return {**built, "head": head, "branches": _build_branches(config, instances, built)}


def _build_branches(config: ModelCfg, instances: Mapping[str, Any], built: Mapping[str, Any]) -> dict[str, Branch]:
    """Build the branches that compute the further outputs of the task, each from the pyramid of one date."""
    task = get_task(config.task, config.class_names)
    outputs = [(name, spec) for name, spec in task.outputs(config.num_classes).items() if spec.dates is not None]
    if not outputs:
        return {}
    if getattr(built["fusion"], "num_dates", 2) == 1:
        raise ConfigError(
            f"the task '{task.name}' needs the features of each date, but the fusion '{config.fusion.name}' concatenates the "
            "dates before the backbone: choose another fusion, or the task 'multiclass'"
        )
    source = built["backbone"] if built["neck"] is None else built["neck"]
    if config.branch_head is None:
        raise ConfigError(f"the task '{task.name}' has the output '{outputs[0][0]}', which needs a branch_head")
    branches: dict[str, Branch] = {}
    for name, spec in outputs:
        assert spec.dates is not None
        like = next((other for other, known in outputs if other in branches and known.num_classes == spec.num_classes), "")
        channels, strides = source.out_channels, source.out_strides or built["backbone"].out_strides
        decoder = head = None
        if config.branch_decoder is not None and not (like and config.branch_shared):
            factory = _factory("branch_decoder", config.branch_decoder, instances)
            decoder = _build_pyramid_component("decoder", config.branch_decoder, factory, channels, strides)
            channels, strides = decoder.out_channels, decoder.out_strides or strides
        if not like:
            factory = _factory("branch_head", config.branch_head, instances)
            head = build_head(config.branch_head, channels, strides, spec.num_classes, factory)
        branches[name] = Branch(head, spec.dates, decoder=decoder, like=like)
    return branches


def _factory(role: str, cfg: ComponentCfg, instances: Mapping[str, Any]) -> Any:
    given = instances.get(role)
    if isinstance(given, nn.Module):
        raise ConfigError(f"{role} may be needed several times: pass a name, (name, kwargs) or the class {type(given).__name__}")
    return given or COMPONENTS[ROLES[role]].get(cfg.name)


def _component_cfg(kind: str, chosen: Any, current: ComponentCfg | None) -> ComponentCfg | None:
    if chosen is None or chosen == "none":
        if kind not in OPTIONAL_ROLES:
            raise ConfigError(f"a model needs a {kind}; only {', '.join(OPTIONAL_ROLES)} can be None")
        return None
    if isinstance(chosen, ComponentCfg):
        return chosen
    if isinstance(chosen, str):
        # Arguments of the current component are kept only if it is named again.
        return current if current is not None and current.name == chosen else ComponentCfg(chosen)
    if isinstance(chosen, Sequence) and len(chosen) == 2 and isinstance(chosen[0], str) and isinstance(chosen[1], Mapping):
        return ComponentCfg(chosen[0], dict(chosen[1]))
    base = f"Level{ROLES[kind].capitalize()}" if ROLES[kind] in ("fusion", "decoder") else ROLES[kind].capitalize()
    raise ConfigError(
        f"{kind} must be a registered name, (name, kwargs), an instance or a subclass of cdzoo.components.{base}, got {chosen!r}"
    )


def _backbone_bands(config: ModelCfg, instances: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the number of input bands of each backbone; with early fusion one backbone receives the bands of all dates."""
    fusion = underlying(instances.get("fusion") or COMPONENTS["fusion"].get(config.fusion.name))
    if getattr(fusion, "num_dates", 2) == 1:
        if not config.siamese:
            raise ConfigError(
                f"fusion '{config.fusion.name}' concatenates the dates before the backbone, so siamese=False, one backbone per "
                "date, requires another fusion"
            )
        return (sum(config.bands),)
    if not config.siamese and len(config.bands) != 2:
        raise ConfigError(f"siamese=False supports two dates, in_chans={config.in_chans} has {len(config.bands)}")
    if config.siamese and len(set(config.bands)) > 1:
        raise ConfigError(
            f'in_chans={config.bands}: dates with different bands require one backbone each (siamese=False) or fusion="early"'
        )
    return config.bands[:1] if config.siamese else config.bands


def _build_backbone(config: ModelCfg, given: Any, bands: int) -> Backbone:
    if isinstance(given, nn.Module):
        return wrap_backbone(given, bands)
    kwargs = dict(config.backbone.kwargs)
    exchange = kwargs.pop("exchange", None)  # an argument of every backbone
    backbone = _call_backbone(ComponentCfg(config.backbone.name, kwargs), given, bands)
    if exchange is not None:
        add_exchanges(backbone, exchange)
    return backbone


def _call_backbone(cfg: ComponentCfg, given: Any, bands: int) -> Backbone:
    name = cfg.name
    if given is not None:
        return wrap_backbone(_call("backbone", cfg, given, {"in_chans": bands}), bands)
    if name.startswith(PREFIX):
        return _call("backbone", cfg, TimmBackbone, {"name": name.removeprefix(PREFIX), "in_chans": bands})
    if name not in COMPONENTS["backbone"] and (hint := timm_hint(name)):
        raise ConfigError(f"unknown backbone '{name}'. Did you mean backbone=\"{hint}\"?")
    return _call("backbone", cfg, COMPONENTS["backbone"].get(name), {"in_chans": bands})


def timm_hint(name: str) -> str:
    """Return `timm/<encoder>` for a timm encoder, also for the prefix `tu-`; an empty string for other names."""
    import timm

    bare = name.removeprefix("tu-").removeprefix("timm-")
    return f"timm/{bare}" if timm.is_model(bare.split(".")[0]) else ""


def _build_pyramid_component(kind: str, cfg: ComponentCfg, factory: Any, channels: Sequence[int], strides: Sequence[int]) -> Any:
    parameters = inspect.signature(factory).parameters
    if "channels" in parameters and "in_channels" not in parameters:  # a component of a single level
        pyramid: Any = PerLevelFusion if kind == "fusion" else PerLevelDecoder
        return pyramid([_call(kind, cfg, factory, {"channels": c}) for c in channels], strides)
    return _call(kind, cfg, factory, {"in_channels": tuple(channels), "in_strides": tuple(strides)})


def _check_level(kind: str, instance: nn.Module, channels: Sequence[int]) -> None:
    if isinstance(instance, LevelFusion | LevelDecoder):
        name = type(instance).__name__
        raise ConfigError(
            f"{name} is the {kind} of a single level: pass its class ({kind}={name}), its registered name, or "
            f"PerLevel{kind.capitalize()}([...]) with one instance for each of the channels {tuple(channels)}"
        )


def _call(kind: str, cfg: ComponentCfg, factory: Callable[..., Any], given: dict[str, Any]) -> Any:
    parameters, hints = inspect.signature(factory).parameters, _hints(factory)
    own = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and name not in given]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key in cfg.kwargs:
        if key in given:
            raise ConfigError(f"{kind} '{cfg.name}': '{key}' follows from the previous components and cannot be set")
        if key not in own and not open_ended:
            arguments = f"Arguments: {', '.join(own)}" if own else "It has no arguments"
            raise ConfigError(f"{kind} '{cfg.name}' has no argument '{key}'.{suggest(key, own)} {arguments}")
        if key in hints:
            check_argument(f"{kind} '{cfg.name}': argument '{key}'", hints[key], cfg.kwargs[key])
    try:
        return factory(**given, **cfg.kwargs)
    except CdzooError:
        raise
    except Exception as error:  # raised by torch or timm for values out of range
        arguments = ", ".join(f"{key}={value!r}" for key, value in {**given, **cfg.kwargs}.items())
        raise ConfigError(f"{kind} '{cfg.name}' cannot be built with {arguments}: {type(error).__name__}: {error}") from error


def _hints(factory: Any) -> dict[str, Any]:
    """Return the annotations of the arguments of a component; empty if they cannot be resolved."""
    inner: Any = underlying(factory)
    try:
        return typing.get_type_hints(inner.__init__ if inspect.isclass(inner) else inner)
    except (NameError, TypeError, AttributeError):
        return {}
