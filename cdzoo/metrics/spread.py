"""Mean and standard deviation of scores over several runs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
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


def spread(runs: Iterable[HasScores]) -> dict[str, Spread]:
    """Return the mean and standard deviation of each of `SUMMARY_SCORES` over several runs."""
    result, runs = {}, list(runs)
    for name in SUMMARY_SCORES:
        values = [float(run[name]) for run in runs]
        result[name] = Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, values)
    return result


def spread_table(title: str, runs: Sequence[HasScores]) -> str:
    """Return a text table with one line per score: mean and standard deviation in percent."""
    lines = [f"{title}: mean and standard deviation of {len(runs)} runs, in percent"]
    for name, score in spread(runs).items():
        deviation = "" if score.std is None else f" +- {100 * score.std:.2f}"
        lines.append(f"  {name:<14}{100 * score.mean:6.2f}{deviation}")
    return "\n".join(lines)
