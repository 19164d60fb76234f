"""`cdzoo flops`."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from typing import Any

from cdzoo.flops import CONVENTION, PARTS, Cost, count_models, expand
from cdzoo.io.files import write_text
from cdzoo.tables import check_format, render

_COLUMNS = {
    "model": "model",
    "params_m": "params M:.3f",
    "gmacs": "GMACs:.3f",
    "scan_g": "scan G:.3f",
    "gflops": "GFLOPs:.3f",
    "activations_m": "activations M:.1f",
    **{part: f"{part} M / GMACs" for part in PARTS},
}


def flops(
    model: list[str], size: int | tuple[int, int] = 256, batch: int = 1, format: str = "table", output: str | None = None
) -> None:
    """Count parameters, multiply-adds and activations of models, component by component.

    Args:
        model: Names or wildcards ('glmamba*'), folders of runs, hf-hub:owner/name.
        size: Side of the images in pixels, or '[height, width]'.
        batch: Number of pairs.
        format: Format: table, csv, json or markdown.
        output: File to write instead of printing.
    """
    check_format(format)
    names = expand(model)
    costs = []
    for number, cost in enumerate(count_models(names, size, batch), 1):
        costs.append(cost)
        if sys.stderr.isatty() and number < len(names):
            print(f"\r{number} of {len(names)} models counted", end="", file=sys.stderr, flush=True)
    rows = [cost.to_dict() for cost in costs]
    if format != "json":
        rows = [_flat(row) for row in rows]
    text = render(rows, _COLUMNS, format, _notes(costs, format))
    if output is None:
        print(("\r" if sys.stderr.isatty() and format == "table" else "") + text, end="")
    else:
        write_text(output, text)
        print(f"{len(rows)} models counted: {output}")


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    parts = {part: f"{values['params_m']:.3f} / {values['gmacs']:.3f}" for part, values in row["parts"].items()}
    return {**row, **parts}


def _notes(costs: list[Cost], form: str) -> list[str]:
    uncounted: Counter[str] = Counter()
    for cost in costs:
        uncounted.update(cost.uncounted)
    first = costs[0]
    notes = [
        f"Input: {first.batch} x 2 images of {first.size[0]} x {first.size[1]} pixels. {CONVENTION}",
        "Not counted, with occurrences in all models: "
        + (", ".join(f"{name.removeprefix('aten::')} {number}" for name, number in sorted(uncounted.items())) or "none"),
    ]
    if idle := [cost.model for cost in costs if cost.trained != cost.params]:
        used = ", ".join(f"{cost.model} {cost.trained / 1e6:.3f} M" for cost in costs if cost.model in idle)
        notes.append(f"Parameters that take a gradient, where others are only kept for official checkpoints: {used}.")
    if form == "markdown":
        return [line for note in notes for line in (note, "")][:-1]
    return [line for note in notes for line in textwrap.wrap(note, 120)]
