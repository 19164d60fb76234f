"""Models in few words: the components that differ from the registered model, and a table of all components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cdzoo.compatibility import describe
from cdzoo.config import INSTANCE, ROLES, ComponentCfg, ModelCfg
from cdzoo.models.branch import DEFAULT_DECODER, DEFAULT_HEAD
from cdzoo.registry import MODELS
from cdzoo.tables import render

if TYPE_CHECKING:
    from cdzoo.models.detector import ChangeDetector


def title(config: ModelCfg) -> str:
    """Return the name of a model, followed by the components in which it differs from the registered model of this name.

    For example `"glmamba_tiny with fusion cbam, without neck"`.
    """
    if config.name not in MODELS:
        return config.name
    own = MODELS.get(config.name)()
    changed = {role: getattr(config, role) for role in ROLES if getattr(config, role) != getattr(own, role)}
    if own.branch_head is None:  # the task needs branches, which have these components unless others are named
        defaults = {"branch_decoder": DEFAULT_DECODER, "branch_head": DEFAULT_HEAD}
        changed = {role: cfg for role, cfg in changed.items() if cfg != defaults.get(role, own)}
    swapped = [f"{_spoken(role)} {_component(cfg, getattr(own, role))}" for role, cfg in changed.items() if cfg is not None]
    removed = [_spoken(role) for role, cfg in changed.items() if cfg is None]
    parts = [f"with {', '.join(swapped)}"] if swapped else []
    parts += [f"without {', '.join(removed)}"] if removed else []
    parts += [f"task {config.task}"] if config.task != own.task else []
    return " ".join([config.name, ", ".join(parts)]).strip()


def component_rows(model: ChangeDetector) -> list[dict[str, Any]]:
    """Return one row per component of a model: kind, name, class, parameters, share of them, channels and strides."""
    counts = model.parameter_counts()
    total = sum(counts.values())
    rows = []
    for kind, count in counts.items():
        component, cfg = getattr(model, kind), getattr(model.config, kind, None)
        row = {"kind": kind, "parameters": count, "share": count / total if total else 0.0}
        if kind == "branches":
            rows.append({**row, "name": ", ".join(model.branches), "class": "Branch"})
            continue
        channels = getattr(component, "out_channels", (model.num_classes,))
        strides = getattr(component, "out_strides", None) or ()
        rows.append({
            **row,
            "name": "none" if cfg is None else cfg.name.removeprefix(INSTANCE),
            "class": "none" if cfg is None else describe(component),
            "channels": ", ".join(map(str, channels)),
            "strides": "input size" if kind == "head" else ", ".join(map(str, strides)),
        })  # fmt: skip
    return rows


def summary(model: ChangeDetector) -> str:
    """Return a title, and a table with the class, parameters, output channels and output strides of each component."""
    rows = component_rows(model)
    size = sum(row["parameters"] for row in rows) / 1e6
    bands = " and ".join(map(str, sorted(set(model.bands)))) + f" band{'s' * (model.bands != (1, 1))}"
    first = f"{type(model).__name__}: {title(model.config)}, {size:.2f} M parameters, {bands}, task {model.task.name}"
    columns = {"kind": "component", "class": "class", "parameters": "parameters:,", "channels": "channels", "strides": "strides"}
    return f"{first}\n{render(rows, columns).rstrip()}"


def _spoken(role: str) -> str:
    return role.replace("_", " ")


def _component(cfg: ComponentCfg, own: ComponentCfg | None) -> str:
    """Return the name of a component, and its arguments that differ from those of the registered model."""
    same = own is not None and own.name == cfg.name
    kwargs = {key: value for key, value in cfg.kwargs.items() if not (same and own and own.kwargs.get(key) == value)}
    shown = ", ".join(f"{key}={value!r}" for key, value in kwargs.items())
    return cfg.name.removeprefix(INSTANCE) + (f"({shown})" if shown else "")
