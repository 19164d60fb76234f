"""`cdzoo flops`."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from cdzoo.cli.common import model_source, print_or_write
from cdzoo.config import KINDS
from cdzoo.tables import render

if TYPE_CHECKING:
    from cdzoo.flops import Cost

_COLUMNS = {
    "model": "model",
    "params_m": "params M:.3f",
    "gmacs": "GMACs:.3f",
    "scan_g": "scan G:.3f",
    "gflops": "GFLOPs:.3f",
    "activations_m": "activations M:.1f",
    **{kind: f"{kind} M / GMACs" for kind in KINDS},
}


def count(
    model: list[str],
    *,
    size: int | tuple[int, int] = 256,
    batch: int = 1,
    format: Literal["table", "csv", "json", "markdown"] = "table",
    output: str | None = None,
) -> None:
    """Count parameters, multiply-adds and activations of models.

    Args:
        model: Names or wildcards ('glmamba*'), folders of runs, or hf-hub:owner/name.
        size: Side of the images in pixels, or '[height, width]'.
        batch: Number of pairs.
        format: Format of the table.
        output: File to write instead of printing.
    """
    from cdzoo.flops import count_models, expand
    from cdzoo.io.progress import tqdm

    names = expand(map(model_source, model))
    costs = list(tqdm(count_models(names, size, batch), total=len(names), unit="model", leave=False, disable=None))
    rows = [cost.to_dict() if format == "json" else _flat(cost.to_dict()) for cost in costs]
    has_branches = any("branches" in cost.component_params for cost in costs)
    columns = _COLUMNS | ({"branches": "branches M / GMACs"} if has_branches else {})
    print_or_write(render(rows, columns, format, _notes(costs, format)), output)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, **{kind: f"{cost['params_m']:.3f} / {cost['gmacs']:.3f}" for kind, cost in row["parts"].items()}}


def _notes(costs: list[Cost], form: str) -> list[str]:
    from cdzoo.flops import CONVENTION

    uncounted = sum((Counter(cost.uncounted) for cost in costs), Counter[str]())
    first = costs[0]
    notes = [
        f"Input: {first.batch} x 2 images of {first.size[0]} x {first.size[1]} pixels. {CONVENTION}",
        "Not counted, with occurrences in all models: "
        + (", ".join(f"{name.removeprefix('aten::')} {number}" for name, number in sorted(uncounted.items())) or "none"),
    ]
    if idle := [cost.model for cost in costs if cost.trained != cost.params]:
        used = ", ".join(f"{cost.model} {cost.trained / 1e6:.3f} M" for cost in costs if cost.model in idle)
        notes.append(f"Trainable parameters; the others exist only so that official checkpoints load strictly: {used}.")
    if form == "markdown":
        return [line for note in notes for line in (note, "")][:-1]
    return [line for note in notes for line in textwrap.wrap(note, 120)]
