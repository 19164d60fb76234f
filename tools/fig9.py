"""Plot F1 against parameters and multiply-adds from results/*.json, like Fig. 9 of the GLMamba paper.

`python tools/fig9.py` writes docs/fig9.png and docs/fig9.svg. To add a point, add a row to one of the files. Costs of models are
in results/costs.json, which `cdzoo flops '*' --format json -o results/costs.json` writes.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdzoo.cli.main import exit_code
from cdzoo.errors import CdzooError, InputError
from cdzoo.io.files import replace_atomically
from cdzoo.io.outputs import check_outputs
from cdzoo.registry import MODELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
COSTS = "costs.json"
AXES = {"params_m": "trained parameters (millions)", "gmacs": "multiply-adds for a pair of 256 x 256 (billions)"}
STYLE: dict[str, dict[str, Any]] = {
    "measured": {"marker": "o", "markerfacecolor": "#1f5fa8", "markeredgecolor": "#1f5fa8"},
    "quoted": {"marker": "s", "markerfacecolor": "white", "markeredgecolor": "#b4501e"},
}
FRONT = "#8a8a8a"
# Offsets of labels in points of text; the first one without overlap is used.
PLACES = ((6, 5, "left"), (6, -11, "left"), (-6, 5, "right"), (-6, -11, "right"), (0, 9, "center"), (0, -16, "center"))
PLACES += tuple((x, y, side) for y in (-23, 16, -35, 27) for x, side in ((6, "left"), (-6, "right"), (0, "center")))


@dataclass(frozen=True)
class Point:
    """One model on one data set. F1 in percent; costs are None if unknown."""

    label: str
    data: str
    provenance: str
    f1: float
    std: float | None
    params_m: float | None
    gmacs: float | None


def read_points(folder: Path) -> list[Point]:
    """Read every results file of a folder.

    Raises:
        InputError: A file cannot be read or has no provenance, or the costs of a model are missing.
    """
    file = folder / COSTS
    points: list[Point] = []
    try:
        costs = {row["registered"]: row for row in _load(file)}
        for file in sorted(folder.glob("*.json")):
            if file.name != COSTS:
                points += _points(file, costs)
    except CdzooError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: an entry is missing or of another type ({type(error).__name__}: {error})") from error
    if not points:
        raise InputError(f"{folder}: there are no results to draw")
    return points


def _points(file: Path, costs: dict[str, Any]) -> list[Point]:
    """Return the points of a results file."""
    content = _load(file)
    if content.get("provenance") not in STYLE:
        raise InputError(f"{file}: 'provenance' must be measured or quoted, got {content.get('provenance')!r}")
    points = []
    for row in _rows(content):
        name = MODELS.get(row["model"])().name if row.get("model") else None
        if name is not None and name not in costs:
            raise InputError(f"{file}: {name} is not in {COSTS}: run cdzoo flops '*' --format json -o {file.parent / COSTS}")
        known = costs[name] if name is not None else row
        params, gmacs = known.get("trained_m", known.get("params_m")), known.get("gmacs")
        if gmacs is not None:  # of images that are resampled for the network
            gmacs = float(gmacs) * row.get("input_scale", 1) ** 2
        numbers = [None if one is None else float(one) for one in (row.get("std"), params, gmacs)]
        points.append(Point(row["label"], row["data"], content["provenance"], float(row["f1"]), *numbers))
    return points


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the (cost, F1) of the Pareto front in ascending order of cost."""
    front: list[tuple[float, float]] = []
    for cost, f1 in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or f1 > front[-1][1]:
            front.append((cost, f1))
    return front


def draw(points: Sequence[Point]) -> Figure:
    """Draw a row of two panels for each data set, because scores on different data cannot be compared."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sets = list(dict.fromkeys(point.data for point in points))
    figure = Figure(figsize=(11, 4.3 * len(sets)), layout="constrained")
    panels = figure.subplots(len(sets), len(AXES), squeeze=False)
    for line, data in zip(panels, sets, strict=True):
        shown = [point for point in points if point.data == data]
        for axes, (cost, title) in zip(line, AXES.items(), strict=True):
            _panel(axes, _on(cost, shown), title)
        line[0].set_title(data, fontsize=11, loc="left")
    handles = [
        panels[0, 0].plot([], [], linestyle="", markersize=8, label=f"F1 {name}", **style)[0] for name, style in STYLE.items()
    ]
    handles += panels[0, 0].plot([], [], color=FRONT, linestyle="--", linewidth=1, label="Pareto front")
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=10)
    FigureCanvasAgg(figure).draw()  # positions the axes, on which the positions of labels depend
    for line, data in zip(panels, sets, strict=True):
        for axes, cost in zip(line, AXES, strict=True):
            _label(axes, _on(cost, [point for point in points if point.data == data]))
    return figure


def _on(cost: str, points: Sequence[Point]) -> list[tuple[float, Point]]:
    """Return the cost and the point, for points with a known cost."""
    return [(value, point) for point in points if (value := getattr(point, cost)) is not None]


def _panel(axes: Axes, points: Sequence[tuple[float, Point]], title: str) -> None:
    axes.set_xscale("log")
    for cost, point in points:
        axes.errorbar(cost, point.f1, yerr=point.std or None, linestyle="", markersize=8, ecolor=FRONT, **STYLE[point.provenance])
    front = pareto([(cost, point.f1) for cost, point in points])
    axes.plot(*zip(*front, strict=True), color=FRONT, linestyle="--", linewidth=1, zorder=0)
    axes.margins(0.2, 0.16)
    axes.set_xlabel(title)
    axes.set_ylabel("F1 (percent)")
    ticks = [value for power in range(-1, 4) for value in (10.0**power, 2 * 10.0**power, 5 * 10.0**power)]
    low, high = axes.get_xlim()
    axes.set_xticks([t for t in ticks if low <= t <= high], [f"{t:g}" for t in ticks if low <= t <= high])
    axes.minorticks_off()
    axes.grid(color="#ececec")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _label(axes: Axes, points: Sequence[tuple[float, Point]]) -> None:
    """Write each label at the first offset where it covers no point and no other label."""
    taken = []
    for cost, point in points:
        x, y = axes.transData.transform((cost, point.f1))
        taken.append((x - 6, y - 6, x + 6, y + 6))
    frame = axes.get_window_extent()
    for cost, point in points:
        for dx, dy, align in PLACES:
            text = axes.annotate(
                point.label, (cost, point.f1), (dx, dy), textcoords="offset points", ha=align, fontsize=8.5, annotation_clip=False
            )
            box = text.get_window_extent()
            clear = all(box.x1 < a or box.x0 > c or box.y1 < b or box.y0 > d for a, b, c, d in taken)
            if (clear and box.x0 > frame.x0 and box.x1 < frame.x1) or (dx, dy, align) == PLACES[-1]:
                taken.append((box.x0, box.y0, box.x1, box.y1))
                break
            text.remove()


def _rows(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a file: a list of points, or the summary of a grid of models."""
    if "points" in content:
        return [{"data": content["data"], **row} for row in content["points"]]
    tables = [
        table
        for table in content["grid"]["tables"]
        if all("model" in row for row in table["rows"].values()) and len({row["model"] for row in table["rows"].values()}) > 1
    ]
    return [
        {
            "label": row["label"],
            "model": row["model"],
            "input_scale": table["rows"][row["label"]].get("input_scale", 1),
            "data": f"{table['title']} ({content['grid']['data']}, test split)",
            "f1": 100 * row["scores"]["f1"]["mean"],
            "std": None if row["scores"]["f1"]["std"] is None else 100 * row["scores"]["f1"]["std"],
        }
        for table in tables
        for row in content["rows"]
        if row["table"] == table["name"] and "scores" in row
    ]


def _load(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from error


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="folder of results files")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of fig9.png and fig9.svg")
    chosen = parser.parse_args(arguments)
    return exit_code("fig9", functools.partial(write, chosen.results, chosen.out))


def write(results: Path, out: Path) -> None:
    """Draw the results of a folder and write both files."""
    if not out.is_dir():
        raise InputError(f"--out {out}: there is no such folder; create it first")
    from matplotlib import rc_context

    files = {kind: out / f"fig9.{kind}" for kind in ("png", "svg")}
    check_outputs({f"--out {kind}": file for kind, file in files.items()})
    points = read_points(results)
    figure = draw(points)
    options: dict[str, dict[str, Any]] = {"png": {"dpi": 130}, "svg": {"metadata": {"Date": None}}}
    for kind, file in files.items():
        with replace_atomically(file) as temporary, rc_context({"svg.hashsalt": "fig9"}):  # the same names in each run
            figure.savefig(temporary, **options[kind])
    quoted = sum(point.provenance == "quoted" for point in points)
    print(f"{len(points)} points, {quoted} of them quoted: {files['png']} and .svg")


if __name__ == "__main__":
    sys.exit(main())
