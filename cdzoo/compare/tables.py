"""Rows of the tables that compare runs of one condition."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cdzoo.benchmark import read_run
from cdzoo.bootstrap import confidence_intervals, paired_difference
from cdzoo.compare.runs import Run
from cdzoo.config import ModelCfg
from cdzoo.errors import CdzooError
from cdzoo.flops import count
from cdzoo.metrics import SUMMARY_SCORES, Spread, image_f1, spread
from cdzoo.models.detector import ChangeDetector
from cdzoo.registry import MODELS
from cdzoo.tables import render
from cdzoo.weights.folder import read_folder

COLUMNS = {
    "run": "run",
    "seeds": "seeds",
    "f1": "F1",
    "interval": "95 % over images",
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "mean_image_f1": "mean image F1",
    "gain": "F1 to first",
    "p": "p:.3f",
    "threshold": "threshold:g",
    "best_threshold": "best threshold:g",
    "params_m": "params M:.2f",
    "gmacs": "GMACs:.2f",
    "latency_ms": "latency ms:.1f",
}
"""Keys of `score_rows` and their headings."""


def score_rows(runs: Sequence[Run], costs: dict[str, dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """Return one row per run: scores in percent, mean and sample deviation over seeds, and the paired test against the first run.

    The interval and the test resample the images of all seeds together.

    Args:
        runs: Runs of one condition.
        costs: Parameters, multiply-adds and latency by label, see `run_costs`.
    """
    rows = []
    for run in runs:
        scores = spread(run.results)
        row: dict[str, Any] = {"run": run.label, "seeds": len(run.results), **(costs or {}).get(run.label, {})}
        row |= {name: _percent(scores[name]) for name in ("f1", "iou", "precision", "recall", "mean_image_f1")}
        if len(run.results) == 1:
            row |= {name: getattr(run.results[0].scores, name) for name in ("threshold", "best_threshold")}
        if intervals := confidence_intervals(run.images):
            row["interval"] = f"{100 * intervals.scores['f1'].low:.2f} to {100 * intervals.scores['f1'].high:.2f}"
        if run is not runs[0] and (found := paired_difference(runs[0].images, run.images)):
            low, high = 100 * found.interval.low, 100 * found.interval.high
            row |= {"gain": f"{100 * found.difference:+.2f} ({low:+.2f} to {high:+.2f})", "p": found.p}
        rows.append(row)
    return rows


def score_table(runs: Sequence[Run], costs: dict[str, dict[str, Any]] | None = None, form: str = "table") -> str:
    """Return the rows of `score_rows` as a table without empty columns; `form` is one of `cdzoo.tables.FORMATS`."""
    rows = score_rows(runs, costs)
    columns = {key: heading for key, heading in COLUMNS.items() if any(row.get(key) is not None for row in rows)}
    return render(rows, columns, form)


def further_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return one row per score of the tasks of the runs, by its exact name: percent, mean and sample deviation over seeds."""
    found = {
        run.label: {name: score for name, score in spread(run.results).items() if name not in SUMMARY_SCORES} for run in runs
    }
    names = dict.fromkeys(name for scores in found.values() for name in scores)
    return [{"score": name, **{run: _percent(s[name]) for run, s in found.items() if name in s}} for name in names]


def worst_rows(runs: Sequence[Run], number: int) -> list[dict[str, Any]]:
    """Return the images with the most wrong pixels over all runs, and their F1 in percent; empty if the runs differ in images."""
    tables = [{image.name: image.confusion for image in run.images} for run in runs]
    if not tables[0] or any(table.keys() != tables[0].keys() for table in tables):
        return []
    errors = {name: sum(table[name].errors for table in tables) for name in tables[0]}
    worst = sorted(errors, key=lambda name: (-errors[name], name))[:number]
    return [
        {"image": name, "wrong pixels": errors[name]}
        | {run.label: f"{100 * image_f1(table[name]):.1f}" for run, table in zip(runs, tables, strict=True)}
        for name in worst
    ]


def run_costs(run: Run, latency: str | Path | None = None) -> dict[str, Any]:
    """Return parameters and multiply-adds of a pair of 256 pixels, and the latency, as far as they can be found.

    Args:
        run: Run.
        latency: File of `cdzoo benchmark --format json`.
    """
    found: dict[str, Any] = {}
    names = {run.label, run.source, f"local-dir:{run.source}", run.results[0].model}
    if latency is not None:
        times = [timing.median_s for timing in read_run(str(latency)).results if timing.case.model in names]
        if times and times[0] is not None:
            found["latency_ms"] = 1e3 * times[0]
    try:
        config = read_folder(run.folder).config if run.folder else MODELS.get(run.source.partition(".")[0])()
        return found | _cost(config.to_json())
    except CdzooError:  # the model is elsewhere
        return found


@functools.lru_cache
def _cost(config: str) -> dict[str, float]:
    cfg = ModelCfg.from_json(config)
    built = cfg.backbone.kwargs.get("pretrained")
    model = ChangeDetector.from_config(cfg, backbone_kwargs={"pretrained": False} if built else None)
    params = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    try:
        return {"params_m": params, "gmacs": count(model).macs / 1e9}
    except CdzooError:  # fvcore is not installed, or the model has another size
        return {"params_m": params}


def _percent(score: Spread) -> str:
    return f"{100 * score.mean:.2f}" + ("" if score.std is None else f" +- {100 * score.std:.2f}")
