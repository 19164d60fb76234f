"""Tables and plots of the runs of a grid: mean and deviation over the seeds, in Markdown, JSON and pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cdzoo.ablate.grid import Grid, Table
from cdzoo.ablate.runs import read_result
from cdzoo.errors import InputError, MissingDependencyError
from cdzoo.io.files import replace_atomically, write_json, write_text
from cdzoo.metrics import spread
from cdzoo.tables import render

SHOWN = {"f1": "F1", "iou": "IoU", "precision": "precision", "recall": "recall", "oa": "OA"}
_DOT, _LINE, _GREY = "#1f5fa8", "#9db8d6", "#666666"


def summarize(grid: Grid, out: str | Path) -> list[dict[str, Any]]:
    """Return a row per line of each table, with the spread of its scores over the runs that are finished."""
    rows = []
    for table in grid.tables:
        for label, choice in table.rows.items():
            jobs = [grid.job(choice, seed) for seed in grid.seeds]
            results = [(job, result) for job in jobs if (result := read_result(out, job)) is not None]
            row: dict[str, Any] = {"table": table.name, "label": label, "model": jobs[0].model, "choice": choice}
            if results:
                first = results[0][1]
                row |= {
                    "seeds": [job.seed for job, _ in results],
                    "scores": spread([result.scores for _, result in results]),
                    "params_m": first.extra["params_m"],
                    "protocol": first.protocol.name if first.protocol else "",
                    "protocol_hash": first.protocol.hash if first.protocol else "",
                    "environment": dataclasses.asdict(first.environment) if first.environment else {},
                }
            rows.append(row)
    return rows


def write_report(grid: Grid, out: str | Path) -> list[Path]:
    """Write `summary.json`, `tables.md` and a picture per table into `out`; return their paths.

    Raises:
        InputError: No run is finished yet.
        MissingDependencyError: matplotlib is not installed.
    """
    folder = Path(out)
    rows = summarize(grid, folder)
    if not any("scores" in row for row in rows):
        raise InputError(f"{folder}: no run of '{grid.title}' is finished")
    written = [folder / "summary.json", folder / "tables.md"]
    description = dataclasses.asdict(grid)
    write_json(written[0], {"provenance": "measured", "grid": description, "rows": rows})
    parts = [f"# {grid.title}\n\n{_conditions(grid, rows)}\n"]
    for table in grid.tables:
        picture = folder / f"{table.name}.png"
        mine = [row for row in rows if row["table"] == table.name]
        parts.append(f"## {table.title}\n\n{table_markdown(mine)}")
        if any("scores" in row for row in mine):
            _draw(picture, table, mine)
            written.append(picture)
            parts.append(f"![F1 of each row]({picture.name})\n")
    write_text(written[1], "\n".join(parts))
    return written


def table_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return one table in Markdown: per cent, mean +- sample deviation, and the difference in F1 to the first row."""
    base = rows[0].get("scores", {}).get("f1", {}).get("mean")
    lines: list[dict[str, Any]] = []
    for row in rows:
        line: dict[str, Any] = {"label": row["label"], "params_m": row.get("params_m"), "runs": len(row.get("seeds", ()))}
        for score in SHOWN:
            line[score] = _cell(row["scores"][score]) if "scores" in row else "not run"
        if base is not None and "scores" in row:
            line["gain"] = f"{100 * (row['scores']['f1']['mean'] - base):+.2f}"
        lines.append(line)
    columns = {"label": "", "params_m": "params M:.2f", **SHOWN, "gain": "F1 to first row", "runs": "seeds"}
    return render(lines, columns, "markdown")


def _cell(score: dict[str, Any]) -> str:
    deviation = "" if score["std"] is None else f" +- {100 * score['std']:.2f}"
    return f"{100 * score['mean']:.2f}{deviation}"


def _conditions(grid: Grid, rows: Sequence[dict[str, Any]]) -> str:
    """Say in one paragraph how the runs were made."""
    first = next(row for row in rows if "scores" in row)
    hashes = {row["protocol_hash"] for row in rows if "scores" in row}
    settings = ", ".join(f"{key} {value}" for key, value in grid.train.items())
    hardware = first["environment"]["hardware"]
    seeds = f"seed {grid.seeds[0]}" if len(grid.seeds) == 1 else f"seeds {', '.join(map(str, grid.seeds))}"
    return (
        f"Measured. Data `{grid.data}`, protocol `{first['protocol']}` (hash {', '.join(sorted(hashes))}), test split, weights "
        f"chosen on the validation split; {seeds}; {settings}. Run on {hardware['device']} ({hardware['name']}). Scores in "
        "per cent, mean +- standard deviation over the seeds."
    )


def _draw(path: Path, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("pictures of tables need matplotlib: pip install 'cdzoo[tools]'") from error
    shown = [row for row in rows if "scores" in row][::-1]
    figure = Figure(figsize=(7, 0.8 + 0.36 * len(shown)), layout="constrained")
    axes = figure.subplots()
    for height, row in enumerate(shown):
        f1 = row["scores"]["f1"]
        values = [100 * value for value in f1["values"]]
        axes.plot([min(values), max(values)], [height, height], color=_LINE, linewidth=5, solid_capstyle="round", zorder=1)
        axes.plot(values, [height] * len(values), ".", color=_GREY, markersize=5, zorder=2)
        axes.plot(100 * f1["mean"], height, "o", color=_DOT, markersize=8, zorder=3)
        axes.annotate(
            f"{100 * f1['mean']:.2f}", (100 * f1["mean"], height), (0, 7), textcoords="offset points", ha="center", fontsize=8
        )
    axes.set_yticks(range(len(shown)), [row["label"] for row in shown])
    axes.set_ylim(-0.6, len(shown) - 0.2)
    axes.margins(x=0.08)
    axes.set_xlabel("F1 in per cent: mean, and every seed")
    axes.set_title(table.title, fontsize=10, loc="left")
    axes.grid(axis="x", color="#e5e5e5")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    with replace_atomically(path) as temporary:
        figure.savefig(temporary, dpi=130)
