"""Change-detection scores from one confusion matrix over all pixels, for the class "change"."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from cdzoo.constants import IGNORE_INDEX


@dataclass(frozen=True)
class Confusion:
    """Pixels by truth and prediction.

    Attributes:
        tp: Changed, called changed.
        fp: Unchanged, called changed.
        fn: Changed, called unchanged.
        tn: Unchanged, called unchanged.
    """

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def of(cls, predicted: Tensor, truth: Tensor) -> Confusion:
        """Count two maps of one shape; anything but 0 is change."""
        predicted, truth = predicted.bool(), truth.bool()
        tp = int((predicted & truth).sum())
        fp, fn = int(predicted.sum()) - tp, int(truth.sum()) - tp
        return cls(tp, fp, fn, truth.numel() - tp - fp - fn)

    @classmethod
    def from_matrix(cls, matrix: Tensor) -> Confusion:
        """Read torchmetrics' [[tn, fp], [fn, tp]]."""
        (tn, fp), (fn, tp) = matrix.tolist()
        return cls(int(tp), int(fp), int(fn), int(tn))

    def __add__(self, other: Confusion) -> Confusion:
        """Pool the pixels of two."""
        return Confusion(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def precision(self) -> float:
        """Share of what was called changed that did change; 0 when nothing was called changed."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of the change that was found; 0 when there is none."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 without a true positive."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float:
        """Intersection over union of the change; 0 without a true positive."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def oa(self) -> float:
        """Overall accuracy: share of all pixels that are right."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    @property
    def kappa(self) -> float:
        """Cohen's kappa: agreement beyond chance, in [-1, 1]; 0 when truth and prediction are one and the same class."""
        total = self.tp + self.fp + self.fn + self.tn
        # In whole numbers, scaled by total squared: counts of pixels are large and the difference can be small.
        chance = (self.tp + self.fp) * (self.tp + self.fn) + (self.fn + self.tn) * (self.fp + self.tn)
        return _ratio((self.tp + self.tn) * total - chance, total * total - chance)

    def scores(self) -> dict[str, float]:
        """Return precision, recall, F1, IoU and OA, all in [0, 1], and kappa."""
        return {name: getattr(self, name) for name in ("precision", "recall", "f1", "iou", "oa", "kappa")}

    def to_dict(self) -> dict[str, float | int]:
        """Return the scores and the four counts."""
        return {**self.scores(), **asdict(self)}


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


SWEEP = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Thresholds at which an evaluation counts beside its own."""

_FIXED = 2**40


class ChangeCounts(Metric):
    """Counts pixels by truth and by the highest threshold that their probability reaches.

    One int64 table holds the confusion matrix at every threshold. The mean F1 per image is summed in fixed point, as sums of
    floats depend on their order. Processes add their states.

    Args:
        threshold: Probability from which a pixel counts as changed, in (0, 1).
    """

    full_state_update = False
    counts: Tensor
    image_f1: Tensor
    images: Tensor
    borders: Tensor

    def __init__(self, threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.threshold = threshold
        self.levels = sorted({*SWEEP, threshold})
        self.register_buffer("borders", torch.tensor(self.levels), persistent=False)
        self.add_state("counts", torch.zeros(2, len(self.levels) + 1, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("image_f1", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, probability: Tensor, mask: Tensor) -> None:
        """Count a batch: probabilities (B, H, W) float32 and masks (B, H, W), 0 unchanged, 255 not counted, else changed."""
        for image, truth in zip(probability, mask, strict=True):
            valid = truth != IGNORE_INDEX
            level = torch.bucketize(image[valid], self.borders, right=True)
            table = torch.bincount((truth[valid] > 0) * (len(self.levels) + 1) + level, minlength=self.counts.numel())
            table = table.view_as(self.counts)
            self.counts += table
            self.image_f1 += round(image_f1(self._confusion(table, self.threshold)) * _FIXED)
            self.images += 1

    def compute(self) -> Tensor:
        """Return [[tn, fp], [fn, tp]] at the threshold, over all images and processes."""
        first = self.levels.index(self.threshold) + 1
        return torch.stack([self.counts[:, :first].sum(1), self.counts[:, first:].sum(1)], 1)

    def confusion(self) -> Confusion:
        """Return the confusion at the threshold, over all images and processes."""
        return Confusion.from_matrix(self.compute())

    def summary(self) -> dict[str, Any]:
        """Return everything that is stored: scores, counts, mean F1 per image, and the scores at every threshold."""
        with self.sync_context():  # adds up the processes, if there are several
            confusion = self._confusion(self.counts, self.threshold)
            sweep = [
                {"threshold": level, **self._confusion(self.counts, level).scores()} for level in self.levels if level in SWEEP
            ]
            images = int(self.images)
            mean = int(self.image_f1) / _FIXED / images if images else 0.0
        best = max(sweep, key=lambda row: row["f1"])
        return {
            **confusion.to_dict(),
            "mean_image_f1": mean,
            "images": images,
            "threshold": self.threshold,
            "best_threshold": best["threshold"],
            "best_threshold_f1": best["f1"],
            "sweep": sweep,
        }

    def _confusion(self, table: Tensor, threshold: float) -> Confusion:
        first = self.levels.index(threshold) + 1
        unchanged, changed = table.tolist()
        return Confusion(tp=sum(changed[first:]), fp=sum(unchanged[first:]), fn=sum(changed[:first]), tn=sum(unchanged[:first]))


def image_f1(confusion: Confusion) -> float:
    """F1 of one image; 1 where nothing changed and nothing was found."""
    return 1.0 if confusion.tp + confusion.fp + confusion.fn == 0 else confusion.f1


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
