"""Tables and plots of the runs of a grid: mean and standard deviation over the seeds, as Markdown, JSON and pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from cdzoo.ablate.grid import Grid, Table
from cdzoo.ablate.runs import read_result
from cdzoo.errors import InputError, require
from cdzoo.io.files import replace_atomically, write_json, write_text
from cdzoo.metrics import Spread, spread
from cdzoo.results import Environment, Results
from cdzoo.tables import render

SHOWN = {"f1": "F1", "iou": "IoU", "precision": "precision", "recall": "recall", "oa": "OA"}
_DOT, _LINE, _GRAY = "#1f5fa8", "#9db8d6", "#666666"


@dataclass(frozen=True)
class Row:
    """One row of a table, with the spread of its scores over the complete runs.

    Attributes:
        table: Name of the table.
        label: Label of the row.
        model: Name of the model.
        choice: Options of the row in the grid.
        seeds: Seeds of the complete runs; the following fields are unset if there are none.
        scores: Spread of each score over the seeds.
        thresholds: Threshold of each run.
        hours: Hours of training of each run; None for one that was interrupted.
        params_m: Number of parameters in millions.
        protocol: Name of the protocol.
        protocol_hash: Hash of protocol and data.
        environment: Software and hardware of the first run.
    """

    table: str
    label: str
    model: str
    choice: dict[str, Any]
    seeds: list[int] = field(default_factory=list)
    scores: dict[str, Spread] = field(default_factory=dict)
    thresholds: list[float] = field(default_factory=list)
    hours: list[float | None] = field(default_factory=list)
    params_m: float | None = None
    protocol: str = ""
    protocol_hash: str = ""
    environment: Environment | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; a row without a complete run has the first four fields only."""
        values = dataclasses.asdict(self)
        return values if self.seeds else {name: values[name] for name in ("table", "label", "model", "choice")}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Row:
        """Read the output of `to_dict`, such as the rows of `summary.json`."""
        return TypeAdapter(cls).validate_python(data)


def summarize(grid: Grid, out: str | Path) -> list[Row]:
    """Return the rows of all tables with the scores of the runs that are complete."""
    rows = []
    for table in grid.tables:
        for label, choice in table.rows.items():
            jobs = [grid.job(choice, seed) for seed in grid.seeds]
            results = [(job.seed, result) for job in jobs if (result := read_result(out, job)) is not None]
            row = Row(table.name, label, jobs[0].model, choice)
            if results:
                first = results[0][1]
                row = dataclasses.replace(
                    row,
                    seeds=[seed for seed, _ in results],
                    scores=spread(result.scores for _, result in results),
                    thresholds=[result.scores.threshold for _, result in results],
                    hours=[_hours(result) for _, result in results],
                    params_m=first.extra.get("params_m"),
                    protocol=first.protocol.name if first.protocol else "",
                    protocol_hash=first.protocol.hash if first.protocol else "",
                    environment=first.environment,
                )
            rows.append(row)
    return rows


def _hours(result: Results) -> float | None:
    seconds = result.extra.get("training_seconds")
    return None if seconds is None else round(seconds / 3600, 3)


def write_report(grid: Grid, out: str | Path) -> list[Path]:
    """Write `summary.json`, `tables.md` and a picture per table into `out`; return their paths.

    Raises:
        InputError: No run is complete yet.
        MissingDependencyError: matplotlib is not installed; the tables are written all the same.
    """
    folder = Path(out)
    rows = summarize(grid, folder)
    if not any(row.seeds for row in rows):
        raise InputError(f"{folder}: no run of '{grid.title}' is complete")
    written = [folder / "summary.json", folder / "tables.md"]
    write_json(written[0], {"provenance": "measured", "grid": grid, "rows": rows})
    parts = [f"# {grid.title}\n\n{_conditions(grid, rows)}\n"]
    drawn: dict[Path, tuple[Table, list[Row]]] = {}
    for table in grid.tables:
        picture = folder / f"{table.name}.png"
        of_table = [row for row in rows if row.table == table.name]
        parts.append(f"## {table.title}\n\n{table_markdown(of_table)}")
        if any(row.seeds for row in of_table):
            drawn[picture] = table, of_table
            parts.append(f"![F1 of each row]({picture.name})\n")
    write_text(written[1], "\n".join(parts))
    for picture, (table, of_table) in drawn.items():  # last, so that nothing stands in the way of the tables
        _draw(picture, table, of_table)
    return [*written, *drawn]


def table_markdown(rows: Sequence[Row]) -> str:
    """Return one table in Markdown: percent, mean +- sample standard deviation, and the difference in F1 to the first row."""
    lines: list[dict[str, Any]] = []
    for row in rows:
        line: dict[str, Any] = {"label": row.label, "params_m": row.params_m, "runs": len(row.seeds)}
        for score in SHOWN:
            line[score] = _cell(row.scores[score]) if row.seeds else "not run"
        if rows[0].seeds and row.seeds:
            line["gain"] = f"{100 * (row.scores['f1'].mean - rows[0].scores['f1'].mean):+.2f}"
        lines.append(line)
    columns = {"label": "", "params_m": "params M:.2f", **SHOWN, "gain": "F1 to first row", "runs": "seeds"}
    return render(lines, columns, "markdown")


def _cell(score: Spread) -> str:
    deviation = "" if score.std is None else f" +- {100 * score.std:.2f}"
    return f"{100 * score.mean:.2f}{deviation}"


def _conditions(grid: Grid, rows: Sequence[Row]) -> str:
    """Return a paragraph about the data, the settings and the hardware of the runs."""
    complete = [row for row in rows if row.seeds]
    hashes = ", ".join(sorted({row.protocol_hash for row in complete}))
    settings = ", ".join(f"{key} {value}" for key, value in grid.train.items())
    environment = complete[0].environment
    hardware = f"{environment.hardware.device} ({environment.hardware.name})" if environment else "unknown hardware"
    selected = f"weights{' and threshold' if grid.threshold == 'validation' else ''} selected on the validation split"
    seeds = f"seed {grid.seeds[0]}" if len(grid.seeds) == 1 else f"seeds {', '.join(map(str, grid.seeds))}"
    return (
        f"Measured. Data `{grid.data}`, protocol `{complete[0].protocol}` (hash {hashes}), test split, {selected}; {seeds}; "
        f"{settings}. Run on {hardware}. Scores in percent, mean +- standard deviation over the seeds."
    )


def _draw(path: Path, table: Table, rows: Sequence[Row]) -> None:
    figure_module: Any = require("matplotlib.figure", "tools", "drawing tables")
    shown = [row for row in rows if row.seeds][::-1]
    figure = figure_module.Figure(figsize=(7, 0.8 + 0.36 * len(shown)), layout="constrained")
    axes = figure.subplots()
    for height, row in enumerate(shown):
        f1 = row.scores["f1"]
        values = [100 * value for value in f1.values]
        axes.plot([min(values), max(values)], [height, height], color=_LINE, linewidth=5, solid_capstyle="round", zorder=1)
        axes.plot(values, [height] * len(values), ".", color=_GRAY, markersize=5, zorder=2)
        axes.plot(100 * f1.mean, height, "o", color=_DOT, markersize=8, zorder=3)
        axes.annotate(
            f"{100 * f1.mean:.2f}", (100 * f1.mean, height), (0, 7), textcoords="offset points", ha="center", fontsize=8
        )
    axes.set_yticks(range(len(shown)), [row.label for row in shown])
    axes.set(ylim=(-0.6, len(shown) - 0.2), xlabel="F1 in percent: mean and each seed", axisbelow=True)
    axes.margins(x=0.08)
    axes.set_title(table.title, fontsize=10, loc="left")
    axes.grid(axis="x", color="#e5e5e5")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    with replace_atomically(path) as temporary:
        figure.savefig(temporary, dpi=130)
