"""Bootstrap over images: confidence intervals of scores, and the comparison of two models on the same images.

Images are resampled with replacement and their pixels pooled anew, so the spread is that of other images of the same kind. It
says nothing about other regions and sensors, nor about the seed of the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.metrics import Confusion

SCORES = ("f1", "iou", "precision", "recall")
LEVEL, REPLICATES, SEED = 0.95, 1000, 0
_CHUNK = 100

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ImageScore:
    """Pixel counts of one image; ignored pixels are not counted."""

    name: str
    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def confusion(self) -> Confusion:
        """The counts as a confusion matrix."""
        return Confusion(self.tp, self.fp, self.fn, self.tn)


@dataclass(frozen=True)
class Interval:
    """Lower and upper bound."""

    low: float
    high: float


@dataclass(frozen=True)
class Intervals:
    """Percentile intervals of scores.

    Attributes:
        scores: Interval of each of `SCORES`.
        images: Number of images.
        level: Share of the replicates inside.
        replicates: Number of resampled sets of images.
        seed: Seed of the resampling.
    """

    scores: dict[str, Interval]
    images: int
    level: float = LEVEL
    replicates: int = REPLICATES
    seed: int = SEED


@dataclass(frozen=True)
class Difference:
    """Difference of a score of two models on the same images, second minus first.

    Attributes:
        difference: Difference over all images.
        interval: Interval of the difference over resampled images.
        p: Two-sided p-value of no difference: twice the smaller share of replicates on either side of zero, at most 1. The
            observed images count as a replicate, so that it is never 0.
        images: Number of images.
    """

    difference: float
    interval: Interval
    p: float
    images: int


def confidence_intervals(images: Sequence[ImageScore], replicates: int = REPLICATES, seed: int = SEED) -> Intervals | None:
    """Return the intervals of the pooled scores; None for less than two images."""
    if len(images) < 2:
        return None
    found = _scores(_resampled([images], replicates, seed)[0])
    return Intervals({name: _interval(values) for name, values in found.items()}, len(images), LEVEL, replicates, seed)


def paired_difference(
    first: Sequence[ImageScore], second: Sequence[ImageScore], score: str = "f1", replicates: int = REPLICATES, seed: int = SEED
) -> Difference | None:
    """Compare two models that were scored on the same images, which are resampled together.

    Returns:
        The difference; None if the images differ or are less than two.
    """
    ordered = [sorted(images, key=lambda image: image.name) for images in (first, second)]
    names = [[image.name for image in images] for images in ordered]
    if names[0] != names[1] or len(names[0]) < 2:
        return None
    found = [_scores(counts)[score] for counts in _resampled(ordered, replicates, seed)]
    before, after = (float(_scores(_counts(images).sum(0)[None])[score][0]) for images in ordered)
    change = found[1] - found[0]
    p = min(1.0, 2 * (1 + min(int((change <= 0).sum()), int((change >= 0).sum()))) / (1 + replicates))
    return Difference(after - before, _interval(change), p, len(names[0]))


def _counts(images: Sequence[ImageScore]) -> Array:
    return np.array([(image.tp, image.fp, image.fn) for image in images], np.float64)  # exact up to 2**53 pixels


def _resampled(sets: Sequence[Sequence[ImageScore]], replicates: int, seed: int) -> list[Array]:
    """Return the pooled counts (replicates, 3) of each set, all of them with the same draws."""
    rng, count = np.random.default_rng(seed), len(sets[0])
    tables = [_counts(images) for images in sets]
    pooled: list[list[Array]] = [[] for _ in sets]
    for first in range(0, replicates, _CHUNK):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(_CHUNK, replicates - first))
        for rows, table in zip(pooled, tables, strict=True):
            rows.append(drawn @ table)
    return [np.concatenate(rows) for rows in pooled]


def _scores(counts: Array) -> dict[str, Array]:
    tp, fp, fn = counts.T
    parts = {"f1": (2 * tp, 2 * tp + fp + fn), "iou": (tp, tp + fp + fn), "precision": (tp, tp + fp), "recall": (tp, tp + fn)}
    return {name: part / np.maximum(whole, 1) for name, (part, whole) in parts.items()}


def _interval(values: Array) -> Interval:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))
