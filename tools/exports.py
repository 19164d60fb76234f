"""Write the tables of docs/export.md from benchmarks/results/export_precision.json and export.json."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from cdzoo.cli.main import exit_code
from cdzoo.factory import list_architectures
from cdzoo.io.files import write_text
from cdzoo.names import natural_key

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "export.md"
RESULTS = ROOT / "benchmarks" / "results"
MISSING = "Not measured yet."


def precision_table() -> str:
    """Return the table of precisions."""
    file = RESULTS / "export_precision.json"
    if not file.is_file():
        return MISSING
    data = json.loads(file.read_text())
    lines = [
        "| precision | size | error of logits | largest, mean error of probability | share of pixels that differ | F1 | time |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for name, row in data["results"].items():
        errors = f"{row['error']:.1g} | {row['probability_max']:.2g}, {row['probability_mean']:.1g}"
        shares = f"{row['pixels_differ']:.2g} | {100 * row['f1']:.2f} | {row['time_ratio']:.2f}"
        lines.append(f"| {name} | {row['mb']:.1f} MB | {errors} | {shares} |")
    note = (
        f"`{data['model']}` with its weights on {data['scenes']} generated scenes of {data['size']} pixels; PyTorch has an F1 of "
        f"{100 * data['f1_torch']:.2f}. Time is that of `predict_pair` on one thread as a ratio to PyTorch."
    )
    return "\n".join([*lines, "", note])


def speed_table() -> str:
    """Return the table of architectures, then those that were not exported and those that were not measured."""
    file = RESULTS / "export.json"
    if not file.is_file():
        return MISSING
    rows, failed = [], []
    results = json.loads(file.read_text())["results"]
    for name, entry in sorted(results.items(), key=lambda item: natural_key(item[0])):
        onnx: dict[str, Any] = entry.get("onnx", entry)
        if "problem" in onnx:
            failed.append(f"- `{name}`: {onnx['problem'].removeprefix('/model.onnx: not written: ')}")
            continue
        speed = entry.get("speed")
        ratio = f"{speed['ratio']:.2f} ({speed['size']} pixels)" if speed else ""
        rows.append(f"| `{name}` | {onnx['mb']:.1f} MB | {max(onnx['error'].values()):.0e} | {ratio} |")
    head = ["| model | size | largest error | time / PyTorch |", "|---|---|---|---|"]
    left = [f"`{name}`" for name in list_architectures() if name not in results]
    unknown = ["", f"Not measured yet: {', '.join(left)}."] if left else []
    return "\n".join([*head, *rows, *(["", "Not exported:", "", *failed] if failed else []), *unknown])


def pages() -> dict[Path, str]:
    """Return the text of the page with its tables."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in {"precision": precision_table(), "speed": speed_table()}.items():
        pattern = rf"(<!-- {name} -->\n\n).*?(\n\n<!-- end of {name} -->)"
        text = re.sub(pattern, lambda found, table=table: found[1] + table + found[2], text, flags=re.DOTALL)  # type: ignore[misc]
    return {PAGE: text}


def main() -> int:
    """Write the page."""
    for file, text in pages().items():
        write_text(file, text)
        print(f"written to {file.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_code("exports", main))
