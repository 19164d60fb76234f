"""`cdzoo list`, `cdzoo info` and `cdzoo env`."""

from __future__ import annotations

import inspect
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cdzoo._version import __version__
from cdzoo.config import ModelOptions
from cdzoo.errors import UnknownNameError
from cdzoo.names import suggest
from cdzoo.registry import COMPONENTS, MODELS


def list_(pattern: str = "*", kind: str | None = None, aliases: bool = False) -> None:
    """List models, components, recipes and weights.

    Args:
        pattern: Wildcard on names, such as 'glmamba*'.
        kind: Only one kind: model, backbone, neck, fusion, decoder, head, recipe, weight.
        aliases: Show the aliases of models too.
    """
    kinds = {"model": MODELS, **COMPONENTS}
    if kind == "weight":
        from cdzoo.weights import get_pretrained, list_pretrained

        for one in list_pretrained(pattern):
            weight = get_pretrained(one)
            scores = ", ".join(f"{name} {100 * value:.2f}" for name, value in weight.metrics.items())
            where = "in the package" if weight.file else f"hf-hub:{weight.repo}@{weight.revision[:8]}"
            print(f"  {one:<28}{weight.dataset}; {scores} ({weight.provenance}); {where}")
        return
    if kind == "recipe":
        from cdzoo.recipes import describe_recipe, list_recipes

        for one in list_recipes():
            print(f"  {one:<20}{describe_recipe(one)}")
        return
    if kind is not None and kind not in kinds:
        raise UnknownNameError(f"unknown kind '{kind}'.{suggest(kind, kinds)} Kinds: {', '.join(kinds)}, recipe, weight.")
    found = {name: registry.list(pattern) for name, registry in kinds.items() if kind in (None, name)}
    width = max((len(one) for names in found.values() for one in names), default=0) + 2
    for name in (name for name, names in found.items() if names):
        print(f"{name}s")
        for one in found[name]:
            about = MODELS.get(one)().description if name == "model" else _summary(COMPONENTS[name].get(one))
            print(f"  {one:<{width}}{about}".rstrip())
        if name == "backbone" and pattern == "*":
            print(f"  {'timm/<name>':<{width}}Any timm encoder with features_only.")
    if aliases:
        print("aliases")
        for alias, target in MODELS.aliases().items():
            print(f"  {alias:<{width}}{target}")
    if not any(found.values()):
        raise UnknownNameError(f"nothing matches '{pattern}'; 'cdzoo list' shows all")


def info(options: ModelOptions) -> None:
    """Show the components of a model with their channels and parameters.

    Args:
        options: Model.
    """
    from cdzoo.cli.common import model_source
    from cdzoo.compatibility import describe
    from cdzoo.factory import create_model

    detector = create_model(**{**options.arguments(), "model_name": model_source(options.model_name)})
    config, counts = detector.config, detector.parameter_counts()
    total = sum(counts.values())
    print(f"{config.name}: {config.description}" if config.description else config.name)
    if config.paper:
        print(f"paper       {config.paper}")
    bands = f"{config.bands[0]} bands" if config.siamese else f"{config.bands[0]} and {config.bands[1]} bands, not Siamese"
    print(f"input       two images (B, {bands}, H, W), H and W >= 32; mean {config.mean}, std {config.std}")
    print(f"output      logits (B, {config.num_classes}, H, W)")
    print(f"parameters  {total:,} ({total / 1e6:.2f} M)\n")
    print(f"{'component':<10}{'name':<18}{'parameters':>12}{'share':>8}  channels out")
    for kind, count in counts.items():
        cfg, part = getattr(config, kind), getattr(detector, kind)
        channels = getattr(part, "out_channels", (config.num_classes,))
        name = cfg.name if cfg else "none"
        print(f"{kind:<10}{name:<18}{count:>12,}{count / total:>8.1%}  {', '.join(map(str, channels))}")
    print("\nsettings")
    for kind in COMPONENTS:
        cfg = getattr(config, kind)
        if cfg is not None:
            arguments = {**_defaults(kind, cfg.name), **cfg.kwargs}
            shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            print(f"  {kind:<10}{describe(getattr(detector, kind))}({shown})")


def env() -> None:
    """Show versions, devices and backends of the selective scan."""
    import torch

    from cdzoo.ops import scan_backends

    print(f"{'cdzoo':<14}{__version__}")
    print(f"{'python':<14}{platform.python_version()} on {platform.platform()}")
    for package in ("torch", "torchvision", "timm", "lightning", "safetensors", "huggingface_hub"):
        try:
            print(f"{package:<14}{version(package)}")
        except PackageNotFoundError:
            print(f"{package:<14}not installed")
    print(f"{'cpu':<14}{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            print(f"{'cuda':<14}{torch.cuda.get_device_name(index)}")
    else:
        print(f"{'cuda':<14}no device (torch built for CUDA {torch.version.cuda or 'none'})")
    print(f"{'mps':<14}{'yes' if torch.backends.mps.is_available() else 'no'}")
    print("\nselective-scan backends")
    for backend in scan_backends():
        state = "active" if backend.active else "usable" if backend.usable else "not usable"
        print(f"  {backend.name:<12}{state:<12}{backend.reason}".rstrip())


def _defaults(kind: str, name: str) -> dict[str, Any]:
    """Return the default arguments of a component; empty for timm encoders and instances."""
    if name not in COMPONENTS[kind]:
        return {}
    given = ("in_chans", "in_channels", "in_strides", "num_classes")  # from the previous components
    own = inspect.signature(COMPONENTS[kind].get(name)).parameters.values()
    return {p.name: p.default for p in own if p.default is not p.empty and p.name not in given}


def _summary(entry: Any) -> str:
    return (entry.__doc__ or "").strip().split("\n")[0]
