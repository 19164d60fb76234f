"""`cdzoo list`, `cdzoo info` and `cdzoo env`."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

from cdzoo._version import __version__
from cdzoo.cli.common import describe_weights, name_weights, terminal_width
from cdzoo.errors import UnknownNameError
from cdzoo.names import select
from cdzoo.registry import COMPONENTS, EXCHANGES, MODELS, Registry, underlying
from cdzoo.tables import align, render

if TYPE_CHECKING:
    from cdzoo.config import ModelOptions


Kind = Literal["model", "backbone", "neck", "fusion", "decoder", "head", "exchange", "recipe", "weight", "checkpoint"]


def list_names(
    pattern: str = "*",
    *,
    kind: Kind | None = None,
    aliases: bool = False,
) -> None:
    """List models, components, recipes, weights and checkpoints.

    Models and components are followed by their aliases. The checkpoints are those that authors publish elsewhere.

    Args:
        pattern: Wildcard on names, such as 'glmamba*'.
        kind: Only one kind instead of models and components.
        aliases: List the aliases of models too, each with its model.
    """
    sections = {name: list(_entries(name, pattern)) for name in ((kind,) if kind else ("model", *COMPONENTS, "exchange"))}
    if aliases and kind not in ("recipe", "weight", "checkpoint"):
        matching = MODELS.list(pattern, aliases=True)
        sections["alias of a model"] = [(alias, of) for alias, of in MODELS.aliases().items() if alias in matching]
    if not any(sections.values()):
        raise UnknownNameError(f"nothing matches '{pattern}'; 'cdzoo list' shows all")
    width = max(len(name) for entries in sections.values() for name, _ in entries)
    for title, entries in sections.items():
        if entries:
            print(_HEADINGS.get(title, f"components: {title}"))
            print(align([(f"{name:<{width}}", text) for name, text in entries], terminal_width()))


def show_model(model: str, *, options: ModelOptions) -> None:
    """Show the components of a model, their channels and parameters.

    Args:
        model: Registered model, tag (MODEL.TAG), folder, or hf-hub:owner/name.
        options: Model.
    """
    from cdzoo.cli.common import build_model
    from cdzoo.models.summary import component_rows, title

    detector = build_model(options)
    config, rows = detector.config, component_rows(detector)
    total = sum(row["parameters"] for row in rows)
    print(f"{title(config)}: {config.description}" if config.description else title(config))
    bands = f"{config.bands[0]} bands" if config.siamese else f"{config.bands[0]} and {config.bands[1]} bands, not Siamese"
    scale = f", resampled by {config.input_scale:g}" if config.input_scale != 1 else ""
    aliases = MODELS.aliases()
    facts = {
        "aliases": ", ".join(_aliases(MODELS, aliases.get(config.name, config.name))),
        "paper": config.paper,
        "input": f"two images (B, {bands}, H, W), H and W >= 32; mean {config.mean}, std {config.std}{scale}",
        "output": f"logits (B, {config.num_classes}, H, W)",
        "weights": name_weights(detector).removeprefix("weights "),
        "parameters": f"{total:,} ({total / 1e6:.2f} M)",
    }
    print(align([(f"{label:<10}", text) for label, text in facts.items() if text], terminal_width(), indent=0) + "\n")
    arguments = []
    for row in rows:
        if (cfg := getattr(config, row["kind"], None)) is not None:
            shown = {**_defaults(row["kind"], cfg.name), **cfg.kwargs}.items()
            arguments.append((row["kind"], f"{row['class']}({', '.join(f'{key}={value!r}' for key, value in shown)})"))
    columns = {"kind": "component", "name": "name", "parameters": "parameters:,", "share": "share:.1%"}
    columns |= {"channels": "channels", "strides": "strides"}
    print(render(rows, columns) + "\narguments\n" + align(arguments, terminal_width()))


def show_environment() -> None:
    """Show versions, devices and backends of the selective scan."""
    import torch

    from cdzoo.ops import scan_backends

    facts = {"cdzoo": __version__, "python": f"{platform.python_version()} on {platform.platform()}"}
    for package in ("torch", "torchvision", "timm", "lightning", "safetensors", "huggingface_hub"):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    facts["cpu"] = f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    facts["cuda"] = ", ".join(gpus) or f"no device (torch built for CUDA {torch.version.cuda or 'none'})"
    facts["mps"] = "yes" if torch.backends.mps.is_available() else "no"
    print("\n".join(f"{name:<17}{text}" for name, text in facts.items()))
    print("\nselective-scan backends")
    for backend in scan_backends():
        state = "active" if backend.active else "usable" if backend.usable else "not usable"
        print(f"  {backend.name:<12}{state:<12}{backend.reason}".rstrip())


_HEADINGS = {
    "model": "models",
    "recipe": "recipes",
    "weight": "weights",
    "checkpoint": "checkpoints of the authors, which are not downloaded: terms; training data; claimed score; place; command",
    "exchange": "exchanges between dates inside a backbone: backbone_kwargs={'exchange': [...]}",
    "alias of a model": "aliases of models",
}


def _entries(kind: str, pattern: str) -> Iterator[tuple[str, str]]:
    """Yield the names of one kind that match a wildcard, each with its description."""
    if kind == "recipe":
        from cdzoo.recipes import describe_recipe, list_recipes

        yield from ((name, describe_recipe(name)) for name in select(list_recipes(), pattern))
    elif kind == "weight":
        from cdzoo.weights import get_pretrained, list_pretrained

        for cfg in map(get_pretrained, list_pretrained(pattern)):
            where = "in the package" if cfg.file else f"hf-hub:{cfg.repo}@{cfg.revision[:8]}"
            yield cfg.name, f"{describe_weights(cfg)}; {where}"
    elif kind == "checkpoint":
        from cdzoo.weights.checkpoints import list_checkpoints

        yield from ((name, found.describe(name)) for name, found in list_checkpoints(pattern))
    else:
        registry = {"model": MODELS, "exchange": EXCHANGES, **COMPONENTS}[kind]
        found = registry.list(pattern, aliases=True)
        for name in registry.list():
            also = _aliases(registry, name)
            if {name, *also} & {*found}:
                entry = registry.get(name)
                text = entry().description if kind == "model" else inspect.getdoc(underlying(entry)) or ""
                yield name, text.split("\n")[0].rstrip(".") + (f" (also {', '.join(also)})" if also else "")
        if kind == "backbone" and pattern == "*":
            yield "timm/<name>", "Any timm encoder with features_only"


def _aliases(registry: Registry[Any], name: str) -> list[str]:
    return [alias for alias, target in registry.aliases().items() if target == name]


def _defaults(kind: str, name: str) -> dict[str, Any]:
    """Return the default arguments of a component; empty for timm encoders and instances."""
    if name not in COMPONENTS[kind]:
        return {}
    given = ("in_chans", "in_channels", "in_strides", "num_classes")  # from the previous components
    own = inspect.signature(COMPONENTS[kind].get(name)).parameters.values()
    return {p.name: p.default for p in own if p.default is not p.empty and p.name not in given}
