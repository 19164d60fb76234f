"""Write docs/components.md, docs/datasets.md and docs/package.md: components, data sets, and the layers of the package."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path
from typing import Any

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

from cards import about, cell, families, linked, summary

from cdzoo.cli.main import exit_code
from cdzoo.config import ROLES
from cdzoo.data import dataset_info, get_protocol, list_datasets, list_protocols
from cdzoo.data.info import DatasetInfo
from cdzoo.io.files import write_text
from cdzoo.registry import COMPONENTS, EXCHANGES, MODELS, underlying
from cdzoo.tables import render

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PLURALS = {"backbone": "Backbones", "neck": "Necks", "fusion": "Fusions", "decoder": "Decoders", "head": "Heads"}
GIVEN = ("in_chans", "in_channels", "in_strides", "num_classes", "channels")
"""Arguments that follow from the previous components."""
COMPONENTS_HEADER = """# Components

A model is a backbone, a neck, a fusion, a decoder and a head. Each of them can be exchanged by name, with arguments, for a class
or for an instance; channels and strides follow from the component before.

```python
import cdzoo

model = cdzoo.create_model("glmamba_tiny", fusion="cbam", neck=None)
model = cdzoo.create_model("glmamba_tiny", backbone="timm/convnext_atto", fusion=("skips", {"mode": "concat"}))
print(cdzoo.list_components("fusion", "*attention*"))
```

`cdzoo list --kind fusion` prints one of these tables, and `cdzoo info glmamba_tiny --fusion cbam` the parameters of each of them.
[Contributing](../CONTRIBUTING.md) shows how to write one; [its base classes](api/components.md) are part of the reference.
`python tools/catalog.py` writes this page from the registry.

"""
DATASETS_HEADER = """# Data sets and protocols

Named data sets know their layout, splits, classes and protocols. None is downloaded without a command: `cdzoo data info NAME`
says where the authors publish it and where its folder belongs. [Data](data.md) is about folders of your own, and
[Labels of several classes](classes.md) about those with classes.

```bash
cdzoo data list
cdzoo data info levir_cd
```

`python tools/catalog.py` writes this page from the registry.

## Protocols

A protocol fixes how images are tiled, how weights are selected and how scores are computed; it is stored with every score. The
first one of a data set is its default, `--protocol NAME` takes another.

"""
PACKAGE_HEADER = """# Layers of the package

A module imports only from the layers below its own, which `lint-imports` checks. The modules of one layer do not import each
other, except the names and constants at the bottom. Packages discover their modules, so that a new component, model or data set
is one new file ([Contributing](../CONTRIBUTING.md)). Heavy libraries are imported where they are used: `import cdzoo` takes a
fraction of a second.

Four of the layers are worth knowing when reading the code:

- `components` declares what a backbone, neck, fusion, decoder and head are given and must return; nothing else knows all five.
- `registry` maps names to classes and functions. A name on the command line is a name in the code.
- `models/detector.py` composes them to a `ChangeDetector`; `factory` turns names and arguments into one.
- `tasks` gives the outputs of a model their meaning; training, evaluation and prediction ask the task, never the model's name.

The layers, from the top down, as `pyproject.toml` declares them; `python tools/catalog.py` writes this page.

"""
PROTOCOLS = {"name": "protocol", "dataset": "data set", "tile": "images", "window": "prediction", "metric": "selected by"}
PROTOCOLS |= {"selection_split": "on", "threshold": "threshold"}


def components() -> str:
    """Return the page about components as text."""
    parts = [COMPONENTS_HEADER]
    for kind, title in PLURALS.items():
        rows = [_component(kind, name) for name in COMPONENTS[kind].list()]
        if kind == "backbone":
            what = "Any timm encoder with `features_only`, and its vision transformers"
            rows.append({"name": "`timm/NAME`", "what": what, "arguments": "", "models": _users(kind, "timm/")})
        columns = {"name": kind, "what": "what it is", "arguments": "arguments", "models": "used by"}
        parts += [f"## {title}\n\n", render(rows, columns, "markdown"), "\n"]
    rows = [
        {"name": f"`{name}`", "what": cell((inspect.getdoc(underlying(EXCHANGES.get(name))) or "").split("\n")[0])}
        for name in EXCHANGES.list()
    ]
    text = 'Between the dates inside a backbone: `backbone_kwargs={"exchange": [None, "spatial", "channel", "channel"]}`.\n\n'
    parts += ["## Exchanges\n\n", text, render(rows, {"name": "exchange", "what": "what it is"}, "markdown")]
    return "".join(parts)


def _component(kind: str, name: str) -> dict[str, Any]:
    parameters = inspect.signature(COMPONENTS[kind].get(name)).parameters.values()
    shown = [
        p.name if p.default is p.empty else f"{p.name}={p.default!r}"
        for p in parameters
        if p.name not in GIVEN and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    arguments = ", ".join(f"`{cell(text)}`" for text in shown)
    return {"name": f"`{name}`", "what": cell(summary(kind, name)), "arguments": arguments, "models": _users(kind, name)}


def _users(kind: str, name: str) -> str:
    """Return links to the cards of the families that use a component."""
    roles = [role for role, each in ROLES.items() if each == kind]
    found = [
        family
        for family, names in families().items()
        for parts in [[getattr(MODELS.get(model)(), role) for model in names for role in roles]]
        if any(part and (part.name == name or (name.endswith("/") and part.name.startswith(name))) for part in parts)
    ]
    return ", ".join(f"[{about(family)[0]}](zoo/{family}.md)" for family in found)


def datasets() -> str:
    """Return the page about data sets as text."""
    rows = []
    for protocol in map(get_protocol, list_protocols()):
        windows = f"windows of {protocol.window}, overlap {protocol.overlap}" if protocol.window else "each at once"
        rows.append(
            {
                **{key: getattr(protocol, key) for key in PROTOCOLS},
                "name": f"`{protocol.name}`",
                "dataset": f"`{protocol.dataset}`" if protocol.dataset else "any",
                "tile": f"tiles of {protocol.tile}" if protocol.tile else "whole",
                "window": windows,
                "threshold": f"{protocol.threshold:g}",
            }
        )
    sections = [_dataset(dataset_info(name)) for name in list_datasets()]
    return DATASETS_HEADER + render(rows, PROTOCOLS, "markdown") + "\n" + "\n".join(sections)


def _dataset(info: DatasetInfo) -> str:
    """Return the section about one data set."""
    rows = {
        "name": f"`{info.name}`",
        "resolution": f"{info.resolution} m" if info.resolution[-1:].isdigit() else info.resolution,
        "images": f"{info.image_size} x {info.image_size}" if info.image_size else "of several sizes",
        "splits": ", ".join(f"{split} {count:,}" for split, count in info.splits.items()) or "no official split",
        "bands": "" if info.bands == (3, 3) else " and ".join(map(str, info.bands)),
        "task": f"`{info.task}`",
        "classes": ", ".join(info.class_names),
        "class orders": ", ".join(f"`{name}`" for name in info.class_orders),
        "protocols": ", ".join(f"`{protocol.name}`" for protocol in info.protocols),
        "license": info.license,
        "paper": linked(info.paper),
        "home page": f"<{info.homepage}>" if info.homepage else "",
        "files": info.files,
        "layout": info.layout,
    }
    table = "| | |\n| --- | --- |\n" + "".join(f"| {key} | {cell(value)} |\n" for key, value in rows.items() if value)
    citation = f"\n```bibtex\n{info.citation.strip()}\n```\n" if info.citation else ""
    return f"## {info.title}\n\n{info.description.rstrip('.')}.\n\n{table}{citation}"


def package() -> str:
    """Return the page about the layers as text."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    rows = []
    for number, layer in enumerate(layers):
        for name in re.findall(r"\w+", layer):
            if text := _docstring(name):
                rows.append({"layer": len(layers) - number, "module": f"`cdzoo.{name}`", "what": cell(text)})
    return PACKAGE_HEADER + render(rows, {"module": "module", "what": "what it does", "layer": "layer"}, "markdown")


def _docstring(name: str) -> str:
    """Return the first sentence of the docstring of a module, which is not imported; empty if there is no such module."""
    for file in (ROOT / "cdzoo" / f"{name}.py", ROOT / "cdzoo" / name / "__init__.py"):
        if file.is_file() and not name.startswith("_"):
            return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n\n")[0]
    return ""


def pages() -> dict[Path, str]:
    """Return the text of each page by file."""
    return {DOCS / "components.md": components(), DOCS / "datasets.md": datasets(), DOCS / "package.md": package()}


def main() -> None:
    """Write the pages."""
    for file, text in pages().items():
        write_text(file, text)
        print(f"written: {file}")


if __name__ == "__main__":
    sys.exit(exit_code("catalog", main))
