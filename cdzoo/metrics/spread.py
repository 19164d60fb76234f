"""Mean and standard deviation of scores over several runs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cdzoo.metrics.binary import SUMMARY_SCORES


class HasScores(Protocol):
    """Scores by name: `Scores`, `Results`, or a mapping."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True)
class Spread:
    """Mean, sample standard deviation (None for a single run) and values of a score over several runs."""

    mean: float
    std: float | None
    values: list[float]


def further_scores(run: HasScores) -> Mapping[str, float]:
    """Return the scores of the task of a run by name; empty for a mapping, or for binary change detection."""
    return getattr(getattr(run, "scores", run), "further", {})


def spread(runs: Iterable[HasScores]) -> dict[str, Spread]:
    """Return the mean and standard deviation over several runs of each of `SUMMARY_SCORES`, and of the scores of a task."""
    result, runs = {}, list(runs)
    further = [further_scores(run) for run in runs]
    for name in (*SUMMARY_SCORES, *(name for name in further[0] if all(name in scores for scores in further))):
        values = [float(run[name]) for run in runs]
        result[name] = Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, values)
    return result


def spread_table(title: str, runs: Sequence[HasScores]) -> str:
    """Return a text table with one line per score: mean and standard deviation in percent."""
    lines = [f"{title}: mean and standard deviation of {len(runs)} runs, in percent"]
    found = spread(runs)
    width = max(14, *(len(name) + 1 for name in found))
    for name, score in found.items():
        deviation = "" if score.std is None else f" +- {100 * score.std:.2f}"
        lines.append(f"  {name:<{width}}{100 * score.mean:6.2f}{deviation}")
    return "\n".join(lines)
