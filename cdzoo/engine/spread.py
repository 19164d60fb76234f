"""Mean and standard deviation over several runs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

SCORES = ("precision", "recall", "f1", "iou", "oa", "kappa", "mean_image_f1")


def spread(summaries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return for each score its mean, sample standard deviation (None for a single run) and values."""
    result: dict[str, dict[str, Any]] = {}
    for name in SCORES:
        values = [float(summary[name]) for summary in summaries]
        deviation = statistics.stdev(values) if len(values) > 1 else None
        result[name] = {"mean": statistics.fmean(values), "std": deviation, "values": values}
    return result


def spread_table(title: str, summaries: Sequence[Mapping[str, Any]]) -> str:
    """Return a text table: one line per score, mean and deviation in per cent."""
    lines = [f"{title}: mean and standard deviation of {len(summaries)} runs, in per cent"]
    for name, entry in spread(summaries).items():
        deviation = "" if entry["std"] is None else f" +- {100 * entry['std']:.2f}"
        lines.append(f"  {name:<14}{100 * entry['mean']:6.2f}{deviation}")
    return "\n".join(lines)
