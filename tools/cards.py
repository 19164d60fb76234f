"""Write docs/zoo/*.md: a card for each family of models, one family per file of cdzoo.models."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import sys
from functools import cache
from pathlib import Path
from typing import Any

from cdzoo.cli.main import exit_code
from cdzoo.config import ROLES, ModelCfg
from cdzoo.factory import list_architectures
from cdzoo.io.files import write_text
from cdzoo.recipes import describe_recipe, list_recipes, recipe_path
from cdzoo.registry import COMPONENTS, MODELS, underlying
from cdzoo.tables import render
from cdzoo.weights import get_pretrained, list_pretrained
from cdzoo.weights.checkpoints import list_checkpoints

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "zoo"
RESULTS = ROOT / "results"
NETWORKS = {"model": "model", "aliases": "aliases", "description": "network", "params_m": "params M:.2f", "gmacs": "GMACs:.2f"}
NETWORKS |= {"scan_g": "of which scan:.2f"}
CHECKPOINTS = {"names": "model", "data": "training data", "score": "claimed", "terms": "terms", "place": "place"}
MEASURED = {name: "CLCD, 120 images of the test split" for name in ("clcd", "clcd_half")}
"""Data of the scores of `results/measured_NAME.json`."""
UNSTATED = "no license stated"


@cache
def costs() -> dict[str, dict[str, Any]]:
    """Return parameters and multiply-adds by registered model."""
    return {row["registered"]: row for row in json.loads((RESULTS / "costs.json").read_text(encoding="utf-8"))}


def families() -> dict[str, list[str]]:
    """Return the registered models of each file of `cdzoo.models`, by the name of the file."""
    found: dict[str, list[str]] = {}
    for name in list_architectures():
        found.setdefault(underlying(MODELS.get(name)).__module__.rpartition(".")[2], []).append(name)
    return found


def about(family: str) -> tuple[str, str, str]:
    """Return the title of a family, its description, and the remarks on its source, from the docstring of its file."""
    first, _, rest = (inspect.getdoc(sys.modules[f"cdzoo.models.{family}"]) or "").partition("\n\n")
    first = " ".join(first.split())
    title = first.partition(":")[0].partition(",")[0] if family != "fc_siam" else first.partition(":")[0]
    return title.partition(" (")[0].rstrip("."), first, rest.strip()


def example(family: str, names: list[str]) -> str:
    """Return the model, or alias, that stands for a family: the one called like it, or the one with the fewest parameters."""
    called = [alias for name in names for alias in (name, *list_architectures()[name]) if alias == family]
    return (called or sorted(names, key=lambda name: costs()[name]["params_m"]))[0]


def card(family: str, names: list[str]) -> str:
    """Return the card of a family as text."""
    title, description, remarks = about(family)
    configs = {name: MODELS.get(name)() for name in names}
    weights = [get_pretrained(tag) for tag in list_pretrained() if tag.partition(".")[0] in names]
    first = f'"{weights[0].model}", pretrained=True' if weights else f'"{example(family, names)}"'
    parts = [
        f"# {title}\n",
        description + ("" if description.endswith(".") else ".") + "\n",
        f"```python\nimport cdzoo\n\nmodel = cdzoo.create_model({first})\n```\n",
        _facts(configs),
        "## Networks\n",
        _networks(configs),
        "One pair of 256 x 256 pixels; [the zoo](../zoo.md) says how both are counted, and has the time on a CPU.\n",
        "## Components\n",
        _components(configs),
        "Each of them can be used in other models: [Components](../components.md).\n",
        "## Weights\n",
        *_weights(names, weights),
        "## Training\n",
        _recipes(configs),
    ]
    if scores := _scores(names):
        parts += ["## Scores\n", scores]
    if remarks:
        parts += ["## Source and remarks\n", linked(remarks) + "\n"]
    citations = dict.fromkeys(config.citation.strip() for config in configs.values() if config.citation)
    if citations:
        parts += ["## Citation\n", *(f"```bibtex\n{citation}\n```\n" for citation in citations)]
    return "\n".join(parts).rstrip("\n") + "\n"


def _facts(configs: dict[str, ModelCfg]) -> str:
    first = next(iter(configs.values()))
    tasks = dict.fromkeys(config.task for config in configs.values())
    rows = {
        "paper": linked(first.paper),
        "authors' code (license)": first.original or "not public",
        "license of this code": first.license,
        "task": ", ".join(f"`{task}`" for task in tasks) + "; [others](../tasks.md) on request",
        "dates share the encoder": "yes" if first.siamese else "no",
    }
    return "| | |\n| --- | --- |\n" + "".join(f"| {key} | {cell(value)} |\n" for key, value in rows.items())


def _networks(configs: dict[str, ModelCfg]) -> str:
    aliases = list_architectures()
    rows = [
        {
            **costs()[name],
            "model": f"`{name}`",
            "aliases": ", ".join(f"`{alias}`" for alias in aliases[name]),
            "description": cell(config.description),
        }
        for name, config in configs.items()
    ]
    dropped = [key for key in ("aliases", "scan_g") if not any(row[key] for row in rows)]
    return render(rows, {key: heading for key, heading in NETWORKS.items() if key not in dropped}, "markdown")


def _components(configs: dict[str, ModelCfg]) -> str:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for name, config in configs.items():
        for role, kind in ROLES.items():
            component = getattr(config, role)
            if component is None:
                continue
            found = rows.setdefault(
                (role, component.name), {"role": role.replace("_", " "), "name": f"`{component.name}`", "in": []}
            )
            found["in"].append(name)
            found["what"] = cell(summary(kind, component.name))
    ordered = [rows[key] for key in sorted(rows, key=lambda key: list(ROLES).index(key[0]))]
    for row in ordered:
        row["in"] = "" if len(row["in"]) == len(configs) else ", ".join(f"`{name}`" for name in row["in"])
    columns = {"role": "component", "name": "name", "what": "what it is", "in": "models"}
    if not any(row["in"] for row in ordered):
        del columns["in"]
    return render(ordered, columns, "markdown")


def summary(kind: str, name: str) -> str:
    """Return the first line of the docstring of a component."""
    if name.startswith("timm/"):
        return "encoder of timm"
    return (inspect.getdoc(underlying(COMPONENTS[kind].get(name))) or "").split("\n")[0]


def _weights(names: list[str], weights: list[Any]) -> list[str]:
    parts = []
    for cfg in weights:
        scored = f"; zero-shot {cfg.zero_shot.replace('f1', 'F1', 1)}" if cfg.zero_shot else ""
        parts.append(
            f"`{cfg.name}` ({cfg.license}): trained on {cfg.dataset}{scored}. [Weights](../weights.md) has the other scores and "
            f"the limits.\n"
        )
    published = [(name, found) for name, found in list_checkpoints(names) if found.place]
    if published:
        rows: dict[Any, dict[str, Any]] = {}
        for name, found in published:
            terms = ": ".join(part for part in (found.use.replace("unstated", UNSTATED), found.license) if part)
            row = rows.setdefault(
                found, {"names": [], "terms": terms, **{key: getattr(found, key) for key in ("data", "score", "place")}}
            )
            row["names"].append(f"`{name}`")
        table = [{key: cell(", ".join(v) if key == "names" else v) for key, v in row.items()} for row in rows.values()]
        name, found = published[0]
        parts += [
            "Checkpoints of the authors, which are not downloaded:\n",
            render(table, CHECKPOINTS, "markdown"),
            f"Converted by commands such as `{_convert(name, found)}`; [all of them](../zoo.md#checkpoints-of-the-authors).\n",
        ]
    elif not weights:
        parts.append("No weights are published: train it, or ask the authors.\n")
    return parts


def _convert(name: str, found: Any) -> str:
    file = Path(found.file).name
    return f"cdzoo convert --model {name} {shlex.quote(file) if file.endswith(('.pth', '.pt')) else 'FILE'} FOLDER"


def _recipes(configs: dict[str, ModelCfg]) -> str:
    named = {config.recipe for config in configs.values() if config.recipe}
    named |= {recipe for recipe in list_recipes() if _model_of(recipe) in {*configs, *_aliases(configs)}}
    if not named:
        first = next(iter(configs))
        return (
            f"No recipe of the paper is known. `cdzoo train --model {first} --data FOLDER` trains it with the default settings.\n"
        )
    lines = []
    for name in sorted(named):
        text = describe_recipe(name)
        data = re.search(r"--data (\S+?)\)", text)
        lines.append(f"- {text}: `cdzoo train --recipe {name} --data {data[1] if data else 'FOLDER'} --out runs/{name}`")
    return "\n".join(lines) + "\n"


def _model_of(recipe: str) -> str:
    lines = recipe_path(recipe).read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model:")), "")


def _aliases(configs: dict[str, ModelCfg]) -> list[str]:
    return [alias for name in configs for alias in list_architectures()[name]]


@cache
def _all_scores() -> tuple[dict[str, Any], ...]:
    rows = []
    for file in sorted(RESULTS.glob("quoted_*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        rows += [{"kind": "quoted", "data": content["data"], **point} for point in content["points"] if "model" in point]
    for run in json.loads((RESULTS / "evaluations" / "authors_weights.json").read_text(encoding="utf-8"))["runs"]:
        row = {"model": run["model"], "f1": 100 * run["scores"]["f1"], "data": run["data"]["data"], "note": run["source"]}
        rows.append({"kind": "measured", **row})
    for name, data in MEASURED.items():
        content = json.loads((RESULTS / f"measured_{name}.json").read_text(encoding="utf-8"))
        titles = {table["name"]: table["title"] for table in content["grid"]["tables"]}
        for row in content["rows"]:
            if "scores" in row:
                seeds = f", mean of {len(row['seeds'])} seeds" if len(row["seeds"]) > 1 else ""
                texts = {"model": row["model"], "data": data, "note": f"{row['label']} ({titles[row['table']]}){seeds}"}
                rows.append({"kind": "measured", "f1": 100 * row["scores"]["f1"]["mean"], **texts})
    return tuple(rows)


def _scores(names: list[str]) -> str:
    targets = MODELS.aliases()
    rows = [
        {**row, "model": f"`{row['model']}`", "f1": f"{'about ' if row.get('approximate') else ''}{row['f1']:.2f}"}
        for row in _all_scores()
        if targets.get(row["model"], row["model"]) in names
    ]
    rows = [{key: cell(value) if isinstance(value, str) else value for key, value in row.items()} for row in rows]
    if not rows:
        return ""
    table = render(rows, {"model": "model", "f1": "F1", "kind": "source", "data": "data", "note": "remark"}, "markdown")
    sources = (
        "Quoted scores are those of papers and repositories and were not reproduced; [Results](../results.md) has the sources."
    )
    return f"{table}\n{sources}\n"


def cell(text: str) -> str:
    """Return text for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def linked(text: str) -> str:
    """Return text in which the DOI and arXiv numbers are links."""
    text = re.sub(r"\bdoi (10\.\d+/[\w./()-]*\w)", r"[doi \1](https://doi.org/\1)", text)
    return re.sub(r"\barXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)


def pages() -> dict[Path, str]:
    """Return the text of each card by file."""
    return {FOLDER / f"{family}.md": card(family, names) for family, names in families().items()}


def main() -> None:
    """Write the cards, and remove those of families that no longer exist."""
    written = pages()
    for file, text in written.items():
        write_text(file, text)
    for file in {*FOLDER.glob("*.md")} - written.keys():
        file.unlink()
    print(f"written: {len(written)} cards in {FOLDER}")


if __name__ == "__main__":
    sys.exit(exit_code("cards", main))
