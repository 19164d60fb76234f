"""Line plots with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cdzoo.errors import require

Lines = Mapping[str, Sequence[tuple[float, float]]]
"""Points of each line by its label."""


def line_figure(panels: Mapping[str, Lines], ylabel: str = "", columns: int = 3) -> Any:
    """Return a figure with one panel of lines per title; the panels share the vertical axis if `ylabel` is set.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    module: Any = require("matplotlib.figure", "tools", "drawing curves")
    columns = min(columns, len(panels))
    count = -(-len(panels) // columns)
    figure = module.Figure(figsize=(3.6 * columns, 2.8 * count), layout="constrained")
    grid = figure.subplots(count, columns, squeeze=False, sharey=bool(ylabel)).flatten()
    for axes, (title, lines) in zip(grid, panels.items(), strict=False):
        for label, points in lines.items():
            axes.plot(*zip(*points, strict=True), marker=".", linewidth=1.2, label=label)
        axes.set_title(title, fontsize=9, loc="left")
        axes.grid(color="#e5e5e5")
        axes.tick_params(labelsize=8)
    for axes in grid[len(panels) :]:
        axes.remove()
    if ylabel:
        figure.supylabel(ylabel, fontsize=9)
    if any(len(lines) > 1 for lines in panels.values()):
        grid[0].legend(fontsize=7)
    return figure
