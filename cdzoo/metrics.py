"""Scores of change detection: confusion matrices of integer counts, and scores derived from them."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from cdzoo.constants import IGNORE_INDEX

SWEEP = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Thresholds at which an evaluation counts pixels, besides its own."""
SUMMARY_SCORES = ("precision", "recall", "f1", "iou", "oa", "kappa", "mean_image_f1")
"""Scores in tables."""

_FIXED_POINT = 2**40


@dataclass(frozen=True)
class Confusion:
    """Confusion matrix of the class "change", in pixels.

    Attributes:
        tp: True positives.
        fp: False positives.
        fn: False negatives.
        tn: True negatives.
    """

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def of(cls, predicted: Tensor, truth: Tensor) -> Confusion:
        """Count two maps of equal shape. Nonzero values are change; pixels whose truth is 255 are ignored."""
        valid = truth != IGNORE_INDEX
        predicted, truth = predicted.bool() & valid, truth.bool() & valid
        tp = int((predicted & truth).sum())
        fp, fn = int(predicted.sum()) - tp, int(truth.sum()) - tp
        return cls(tp, fp, fn, int(valid.sum()) - tp - fp - fn)

    def __add__(self, other: Confusion) -> Confusion:
        """Return the sum of two confusion matrices."""
        return Confusion(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def precision(self) -> float:
        """TP / (TP + FP); 0 if the denominator is 0."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / (TP + FN); 0 if the denominator is 0."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 0 if the denominator is 0."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN); 0 if the denominator is 0."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def oa(self) -> float:
        """Overall accuracy, (TP + TN) / all."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    @property
    def kappa(self) -> float:
        """Cohen's kappa, in [-1, 1]; 0 if truth and prediction are one and the same class."""
        total = self.tp + self.fp + self.fn + self.tn
        # Integers scaled by total squared: the counts are large, and the difference can be small.
        chance = (self.tp + self.fp) * (self.tp + self.fn) + (self.fn + self.tn) * (self.fp + self.tn)
        return _ratio((self.tp + self.tn) * total - chance, total * total - chance)

    def scores(self) -> dict[str, float]:
        """Return precision, recall, F1, IoU and OA in [0, 1], and kappa."""
        return {name: getattr(self, name) for name in ("precision", "recall", "f1", "iou", "oa", "kappa")}

    def image_f1(self) -> float:
        """Return the F1 of a single image: 1 if nothing changed and nothing was detected."""
        return 1.0 if self.tp + self.fp + self.fn == 0 else self.f1


@dataclass(frozen=True)
class Scores(Mapping[str, Any]):
    """Scores of an evaluation. `scores["f1"]` and `scores.f1` are equivalent.

    Attributes:
        precision: TP / (TP + FP).
        recall: TP / (TP + FN).
        f1: F1 of the class "change".
        iou: Intersection over union of the class "change".
        oa: Overall accuracy.
        kappa: Cohen's kappa.
        tp: True positives in pixels.
        fp: False positives in pixels.
        fn: False negatives in pixels.
        tn: True negatives in pixels.
        mean_image_f1: Mean of the F1 of single images.
        images: Number of images.
        threshold: Probability from which a pixel counts as changed.
        best_threshold: Threshold of the sweep with the highest F1.
        best_threshold_f1: F1 at that threshold.
        sweep: Scores at each threshold of the sweep.
    """

    precision: float = 0.0
    recall: float = 0.0
    f1: float = 0.0
    iou: float = 0.0
    oa: float = 0.0
    kappa: float = 0.0
    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0
    mean_image_f1: float = 0.0
    images: int = 0
    threshold: float = 0.5
    best_threshold: float = 0.5
    best_threshold_f1: float = 0.0
    sweep: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scores:
        """Read scores from JSON values; unknown keys are ignored."""
        return cls(**{f.name: data[f.name] for f in dataclasses.fields(cls) if f.name in data})

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def __getitem__(self, name: str) -> Any:
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dataclass_fields__)

    def __len__(self) -> int:
        return len(self.__dataclass_fields__)


class ChangeCounts:
    """Counts pixels by truth and by the highest threshold that their probability reaches.

    A single int64 table contains the confusion matrix at every threshold. The mean F1 of images is summed in fixed point. Both
    make the scores independent of batch size and order.

    Args:
        threshold: Probability from which a pixel counts as changed, in (0, 1).
        device: Device of the counts.
    """

    def __init__(self, threshold: float = 0.5, device: torch.device | str = "cpu") -> None:
        self.threshold = threshold
        self.levels = sorted({*SWEEP, threshold})
        self.borders = torch.tensor(self.levels, device=device)
        self.counts = torch.zeros(2, len(self.levels) + 1, dtype=torch.int64, device=device)
        self.image_f1 = torch.zeros((), dtype=torch.int64, device=device)
        self.images = torch.zeros((), dtype=torch.int64, device=device)

    def update(self, probability: Tensor, target: Tensor) -> list[Confusion]:
        """Count a batch and return the confusion matrix of each image.

        Args:
            probability: (B, H, W) float32.
            target: (B, H, W): 0 is unchanged, 255 is ignored, other values are changed.
        """
        confusions = []
        for image, truth in zip(probability, target, strict=True):
            valid = truth != IGNORE_INDEX
            level = torch.bucketize(image[valid], self.borders, right=True)
            index = (truth[valid] > 0) * (len(self.levels) + 1) + level
            table = torch.bincount(index, minlength=self.counts.numel()).view_as(self.counts)
            self.counts += table
            confusions.append(self._confusion(table, self.threshold))
            self.image_f1 += round(confusions[-1].image_f1() * _FIXED_POINT)
            self.images += 1
        return confusions

    def all_reduce(self) -> None:
        """Add up the counts of all processes, if `torch.distributed` is initialized."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            for tensor in (self.counts, self.image_f1, self.images):
                torch.distributed.all_reduce(tensor)

    def confusion(self) -> Confusion:
        """Return the confusion matrix at the threshold."""
        return self._confusion(self.counts, self.threshold)

    def summary(self) -> Scores:
        """Return all scores of the counted pixels."""
        sweep = [{"threshold": level, **self._confusion(self.counts, level).scores()} for level in self.levels if level in SWEEP]
        best = max(sweep, key=lambda row: row["f1"])
        images, confusion = int(self.images), self.confusion()
        return Scores(
            **cast(dict[str, Any], {**confusion.scores(), **asdict(confusion)}),
            mean_image_f1=int(self.image_f1) / _FIXED_POINT / images if images else 0.0,
            images=images,
            threshold=self.threshold,
            best_threshold=best["threshold"],
            best_threshold_f1=best["f1"],
            sweep=sweep,
        )

    def _confusion(self, table: Tensor, threshold: float) -> Confusion:
        first = self.levels.index(threshold) + 1
        unchanged, changed = table.tolist()
        return Confusion(tp=sum(changed[first:]), fp=sum(unchanged[first:]), fn=sum(changed[:first]), tn=sum(unchanged[:first]))


def spread(scores: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the mean, sample standard deviation (None for a single run) and values of each score over several runs."""
    result: dict[str, dict[str, Any]] = {}
    for name in SUMMARY_SCORES:
        values = [float(one[name]) for one in scores]
        deviation = statistics.stdev(values) if len(values) > 1 else None
        result[name] = {"mean": statistics.fmean(values), "std": deviation, "values": values}
    return result


def spread_table(title: str, scores: Sequence[Mapping[str, Any]]) -> str:
    """Return a text table with the mean and standard deviation of each score in percent."""
    lines = [f"{title}: mean and standard deviation of {len(scores)} runs, in percent"]
    for name, entry in spread(scores).items():
        deviation = "" if entry["std"] is None else f" +- {100 * entry['std']:.2f}"
        lines.append(f"  {name:<14}{100 * entry['mean']:6.2f}{deviation}")
    return "\n".join(lines)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
