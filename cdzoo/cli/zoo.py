"""`cdzoo list`, `cdzoo info` and `cdzoo env`."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

from cdzoo._version import __version__
from cdzoo.errors import UnknownNameError
from cdzoo.names import select
from cdzoo.registry import COMPONENTS, EXCHANGES, MODELS, underlying
from cdzoo.tables import render

if TYPE_CHECKING:
    from cdzoo.config import ModelOptions


Kind = Literal["model", "backbone", "neck", "fusion", "decoder", "head", "exchange", "recipe", "weight", "checkpoint"]


def list_names(
    pattern: str = "*",
    *,
    kind: Kind | None = None,
    aliases: bool = False,
) -> None:
    """List models, components, training recipes, published weights, and where authors publish checkpoints.

    Args:
        pattern: Wildcard on names, such as 'glmamba*'.
        kind: Only one kind; models and components by default.
        aliases: Show the aliases of models too, each with its model.
    """
    sections = {name: list(_entries(name, pattern)) for name in ((kind,) if kind else ("model", *COMPONENTS, "exchange"))}
    if aliases and kind not in ("recipe", "weight", "checkpoint"):
        matching = MODELS.list(pattern, aliases=True)
        sections["alias of a model"] = [(alias, of) for alias, of in MODELS.aliases().items() if alias in matching]
    if not any(sections.values()):
        raise UnknownNameError(f"nothing matches '{pattern}'; 'cdzoo list' shows all")
    width = max(len(name) for entries in sections.values() for name, _ in entries) + 2
    for title, entries in sections.items():
        if entries:
            print(_HEADINGS.get(title, f"components: {title}"))
            print("\n".join(f"  {name:<{width}}{text}".rstrip() for name, text in entries))


def show_model(model: str, *, options: ModelOptions) -> None:
    """Show the components of a model with their channels, parameters and arguments.

    Args:
        model: Registered model, tag (MODEL.TAG), folder, or hf-hub:owner/name.
        options: Model.
    """
    from cdzoo.cli.common import build_model, name_weights
    from cdzoo.compatibility import describe

    detector = build_model(options)
    config, counts = detector.config, detector.parameter_counts()
    total = sum(counts.values())
    print(f"{config.name}: {config.description}" if config.description else config.name)
    if config.paper:
        print(f"paper       {config.paper}")
    bands = f"{config.bands[0]} bands" if config.siamese else f"{config.bands[0]} and {config.bands[1]} bands, not Siamese"
    print(f"input       two images (B, {bands}, H, W), H and W >= 32; mean {config.mean}, std {config.std}")
    print(f"output      logits (B, {config.num_classes}, H, W)")
    print(f"{'weights':<12}{name_weights(detector).removeprefix('weights ')}")
    print(f"parameters  {total:,} ({total / 1e6:.2f} M)\n")
    rows, arguments = [], []
    for kind, count in counts.items():
        cfg, component = getattr(config, kind), getattr(detector, kind)
        channels = ", ".join(map(str, getattr(component, "out_channels", (config.num_classes,))))
        name = cfg.name if cfg else "none"
        rows.append({"kind": kind, "name": name, "parameters": count, "share": count / total, "channels": channels})
        if cfg is not None:
            shown = ", ".join(f"{key}={value!r}" for key, value in {**_defaults(kind, name), **cfg.kwargs}.items())
            arguments.append(f"  {kind:<10}{describe(component)}({shown})")
    columns = {"kind": "component", "name": "name", "parameters": "parameters:,", "share": "share:.1%", "channels": "channels"}
    print(render(rows, columns) + "\narguments\n" + "\n".join(arguments))


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
        from cdzoo.cli.common import describe_weights
        from cdzoo.weights import get_pretrained, list_pretrained

        for cfg in map(get_pretrained, list_pretrained(pattern)):
            where = "in the package" if cfg.file else f"hf-hub:{cfg.repo}@{cfg.revision[:8]}"
            yield cfg.name, f"{describe_weights(cfg)}; {where}"
    elif kind == "checkpoint":
        from cdzoo.weights.checkpoints import list_checkpoints

        yield from ((name, found.describe(name)) for name, found in list_checkpoints(pattern))
    elif kind == "model":
        yield from ((name, MODELS.get(name)().description) for name in MODELS.list(pattern))
    else:
        registry = EXCHANGES if kind == "exchange" else COMPONENTS[kind]
        for name in registry.list(pattern):
            yield name, (inspect.getdoc(underlying(registry.get(name))) or "").split("\n")[0]
        if kind == "backbone" and pattern == "*":
            yield "timm/<name>", "Any timm encoder with features_only."


def _defaults(kind: str, name: str) -> dict[str, Any]:
    """Return the default arguments of a component; empty for timm encoders and instances."""
    if name not in COMPONENTS[kind]:
        return {}
    given = ("in_chans", "in_channels", "in_strides", "num_classes")  # from the previous components
    own = inspect.signature(COMPONENTS[kind].get(name)).parameters.values()
    return {p.name: p.default for p in own if p.default is not p.empty and p.name not in given}
