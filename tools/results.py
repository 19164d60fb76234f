"""Write docs/results.md from results/*.json: measured scores, and scores quoted from papers in tables of their own.

The measured files are written by `python tools/ablate.py ablations/NAME.yaml --out runs/NAME`, whose `summary.json` is copied to
results/measured_NAME.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cdzoo.ablate.report import Row, table_markdown
from cdzoo.io.files import write_text
from cdzoo.tables import render

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results.md"
RESULTS = ROOT / "results"
INTRODUCTION = """# Results

Measured scores are those of this project, with the command that reproduces them. Quoted scores are from papers and were not
reproduced. They are in separate tables. Written by `python tools/results.py` from `results/*.json`.

![F1 against parameters and multiply-adds](fig9.png)

The figure is drawn by `python tools/fig9.py`. Costs are counted by `cdzoo flops`, except for networks without public code, whose
parameters are quoted and whose multiply-adds are unknown. The dashed line is the Pareto front.
"""
BUDGET = """These runs fit two CPU cores: about a thousand steps from scratch on small crops of synthetic scenes without
changes of light and season. They show that every model and component trains under the same protocol, and how fast it converges at
first. They do not rank networks that are trained for 200 epochs on aerial images, and transformers in particular need more steps.
Differences smaller than the standard deviation over seeds are not significant.
"""


def page() -> str:
    """Return the page as text."""
    parts = [INTRODUCTION, "## Measured\n", BUDGET]
    for file in sorted(RESULTS.glob("measured_*.json")):
        parts.append(_measured(json.loads(file.read_text(encoding="utf-8")), file.stem.removeprefix("measured_")))
    parts.append("## Quoted\n")
    for file in sorted(RESULTS.glob("quoted_*.json")):
        parts.append(_quoted(json.loads(file.read_text(encoding="utf-8"))))
    return "\n".join(parts)


def _measured(summary: dict[str, Any], name: str) -> str:
    grid, done = summary["grid"], [row for row in summary["rows"] if "scores" in row]
    settings = ", ".join(f"{key} {value}" for key, value in grid["train"].items())
    hardware, versions = done[0]["environment"]["hardware"], done[0]["environment"]["versions"]
    seeds = ", ".join(map(str, grid["seeds"]))
    text = [
        f"### {grid['title']}\n",
        f"`python tools/ablate.py ablations/{name}.yaml`: data `{grid['data']}`, protocol `{done[0]['protocol']}` (hash "
        f"{done[0]['protocol_hash']}), test split, weights selected on the validation split, seeds {seeds}; {settings}; torch "
        f"{versions['torch']} on {hardware['device']} ({hardware['name']}). Percent, mean +- standard deviation over seeds.\n",
    ]
    for table in grid["tables"]:
        rows = [Row.from_dict(row) for row in summary["rows"] if row["table"] == table["name"]]
        text += [f"#### {table['title']}\n", table_markdown(rows)]
    return "\n".join(text)


def _quoted(content: dict[str, Any]) -> str:
    text = [f"### {content['data']}\n", f"{content['source']}.\n"]
    rows = [
        {**row, "f1": None if "f1" not in row else f"{'about ' if row.get('approximate') else ''}{row['f1']:.2f}"}
        for row in [*content["points"], *content.get("rows", [])]
    ]
    columns = {"label": "", "f1": "F1", "iou": "IoU:.2f", "params_m": "parameters M", "note": "remark"}
    kept = {key: heading for key, heading in columns.items() if any(row.get(key) is not None for row in rows)}
    text.append(render(rows, kept, "markdown"))
    text += [f"{statement}\n" for statement in content.get("statements", [])]
    return "\n".join(text)


if __name__ == "__main__":
    if not list(RESULTS.glob("measured_*.json")):
        sys.exit(f"results: no {RESULTS}/measured_*.json found; see python tools/ablate.py --help")
    write_text(PAGE, page())
    print(f"written: {PAGE}")
