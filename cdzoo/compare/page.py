"""Page of a comparison: one HTML file without links to others."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cdzoo.bootstrap import REPLICATES, SEED
from cdzoo.compare.runs import Condition, Run
from cdzoo.compare.tables import COLUMNS, further_rows, score_rows, worst_rows
from cdzoo.data.open import DataCfg, open_data
from cdzoo.engine.log import FILE as LOG_FILE
from cdzoo.engine.pictures import sample_picture
from cdzoo.errors import InputError
from cdzoo.factory import create_model
from cdzoo.figures import Lines, line_figure
from cdzoo.io.files import output_path, write_text
from cdzoo.protocol import Protocol
from cdzoo.tables import format_cell, split_heading
from cdzoo.visualize import data_uri

_STYLE = """
body { margin: 0 auto; padding: 1.5rem; max-width: 80rem; font: 15px/1.5 system-ui, sans-serif; color: #1d2733; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin-top: 2rem; } h3 { font-size: 0.95rem; } p, th { color: #66717d; }
table { border-collapse: collapse; } th, td { text-align: right; padding: 0.25rem 0.7rem; border-bottom: 1px solid #dde2e7; }
th { font-weight: 500; } th:first-child, td:first-child { text-align: left; } img, svg { max-width: 100%; height: auto; }
"""
_NOTE = f"""Scores in percent. Several seeds: mean +- sample standard deviation. Intervals and tests resample the images
{REPLICATES:,} times (seed {SEED}), the same ones for both runs; p is two-sided. Tables of different splits, protocols or samples
cannot be compared."""


def write_page(
    path: str | Path,
    groups: Mapping[Condition, Sequence[Run]],
    costs: dict[str, dict[str, Any]],
    worst: int = 8,
    pictures: bool = False,
) -> None:
    """Write the page of a comparison.

    Args:
        path: `.html` file.
        groups: Runs by condition, see `read_runs`.
        costs: Costs by label, see `run_costs`.
        worst: Number of images in the tables and pictures of the worst ones.
        pictures: Draw the worst images of each condition; loads the models and the data of the results.

    Raises:
        InputError: The file has another suffix, its folder does not exist, or the data of the results do not exist.
        MissingDependencyError: matplotlib is not installed.
    """
    target = output_path(path, "--html", (".html",), "the page is HTML")
    parts = [f"<h1>Comparison</h1><p>{_NOTE}</p>"]
    for condition, runs in groups.items():
        parts.append(f"<h2>{html.escape(str(condition))}</h2>{_table(score_rows(runs, costs), COLUMNS)}")
        if further := further_rows(runs):
            labels = {key: key for key in ("score", *(run.label for run in runs))}
            parts.append(f"<h3>Scores of the task in percent</h3>{_table(further, labels)}")
        if rows := worst_rows(runs, worst):
            parts.append(f"<h3>Worst images: F1 of each run</h3>{_table(rows, {key: key for key in rows[0]})}")
            if pictures:
                parts += [_picture(run, condition, [row["image"] for row in rows]) for run in runs]
    if curves := _curves([run for runs in groups.values() for run in runs]):
        parts.append(f"<h2>Training</h2>{_svg(curves)}")
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Comparison</title><style>{_STYLE}</style></head>'
    write_text(target, f"{head}\n<body>\n{chr(10).join(parts)}\n</body></html>\n")


def _table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    shown = {key: split_heading(key, text) for key, text in columns.items() if any(row.get(key) is not None for row in rows)}
    cells = [[html.escape(format_cell(row.get(key), form)) for key, (_, form) in shown.items()] for row in rows]
    lines = ["".join(f"<td>{cell}</td>" for cell in line) for line in cells]
    heading = "".join(f"<th>{html.escape(title)}</th>" for title, _ in shown.values())
    return f"<table><tr>{heading}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _curves(runs: Sequence[Run]) -> dict[str, Lines]:
    """Return loss and validation F1 by epoch of the runs whose logs exist."""
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {"loss": {}, "validation F1": {}}
    for run in runs:
        file = None if run.folder is None else run.folder / LOG_FILE
        if file is None or not file.is_file():
            continue
        rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
        for title, column in (("loss", "loss"), ("validation F1", "f1")):
            try:
                points = [(float(row["epoch"]), float(row[column])) for row in rows if row.get(column)]
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(f"{file}: not the log of a training ({error}); remove it to compare without curves") from error
            if points := [point for point in points if math.isfinite(point[1])]:
                panels[title][run.label] = points
    return {title: lines for title, lines in panels.items() if lines}


def _svg(panels: Mapping[str, Lines]) -> str:
    buffer = io.StringIO()
    line_figure(panels).savefig(buffer, format="svg")
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]  # without the XML declaration


def _picture(run: Run, condition: Condition, names: Sequence[str]) -> str:
    """Draw images by name: dates, target, prediction and errors of the first seed."""
    result = run.results[0]
    if not isinstance(result.data, Mapping) or result.protocol is None:
        raise InputError(f"{run.label}: the results do not name their data; evaluate again with: cdzoo eval --out FILE.json")
    model = create_model(f"local-dir:{run.folder}" if run.folder else run.source).eval()
    samples = open_data(DataCfg(**result.data), (condition.split,), model.config.bands).splits[condition.split]
    samples = getattr(samples, "whole", samples)  # whole images, predicted in windows of the size of their tiles
    fields = result.protocol.protocol
    window = fields.get("tile") or fields.get("window")
    kept = {name: fields[name] for name in ("threshold", "scale", "augment") if name in fields}
    protocol = Protocol("picture", window=window, **kept)
    chosen = [list(samples.names).index(name) for name in names if name in samples.names]
    sheet = sample_picture(model, samples, chosen, protocol, torch.device("cpu"))
    return f'<h3>{html.escape(run.label)}</h3><img alt="worst images of {html.escape(run.label)}" src="{data_uri(sheet)}">'
