"""Metrics of binary change detection, computed from one confusion matrix over all pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from cdzoo.constants import IGNORE_INDEX

SUMMARY_SCORES = ("precision", "recall", "f1", "iou", "oa", "kappa", "mean_image_f1")
"""Scores reported in tables, logs and statistics over several runs."""

SWEEP = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Thresholds at which pixels are counted, in addition to that of the protocol."""

_FIXED_POINT = 2**40


@dataclass(frozen=True)
class Confusion:
    """Confusion matrix: number of pixels by target and prediction.

    Attributes:
        tp: Changed, predicted as changed.
        fp: Unchanged, predicted as changed.
        fn: Changed, predicted as unchanged.
        tn: Unchanged, predicted as unchanged.
    """

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def of(cls, predicted: Tensor, truth: Tensor) -> Confusion:
        """Compare a prediction with a target of the same shape: 0 unchanged, 255 ignored in the target, other values changed."""
        valid = truth != IGNORE_INDEX
        predicted, truth = predicted.bool() & valid, truth.bool() & valid
        tp = int((predicted & truth).sum())
        fp, fn = int(predicted.sum()) - tp, int(truth.sum()) - tp
        return cls(tp, fp, fn, int(valid.sum()) - tp - fp - fn)

    def __add__(self, other: Confusion) -> Confusion:
        """Pool the pixels of two confusion matrices."""
        return Confusion(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def errors(self) -> int:
        """FP + FN."""
        return self.fp + self.fn

    @property
    def precision(self) -> float:
        """TP / (TP + FP); 0 if no pixel is predicted as changed."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / (TP + FN); 0 if no pixel changed."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 without a true positive."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float:
        """Intersection over union of the change: TP / (TP + FP + FN); 0 without a true positive."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def oa(self) -> float:
        """Overall accuracy: (TP + TN) / all pixels."""
        return _ratio(self.tp + self.tn, self.pixels)

    @property
    def kappa(self) -> float:
        """Cohen's kappa in [-1, 1]; 0 if all pixels of target and prediction have the same class."""
        total = self.pixels
        # Integers, scaled by total squared, because the difference of large counts can be small.
        chance = (self.tp + self.fp) * (self.tp + self.fn) + (self.fn + self.tn) * (self.fp + self.tn)
        return _ratio((self.tp + self.tn) * total - chance, total * total - chance)

    def scores(self) -> dict[str, float]:
        """Return precision, recall, F1, IoU and OA, all in [0, 1], and kappa."""
        return {name: getattr(self, name) for name in ("precision", "recall", "f1", "iou", "oa", "kappa")}

    def to_dict(self) -> dict[str, Any]:
        """Return the scores and the four counts."""
        return {**self.scores(), **asdict(self)}


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


@dataclass(frozen=True)
class Rates:
    """Scores of a confusion matrix, see `Confusion`."""

    precision: float
    recall: float
    f1: float
    iou: float
    oa: float
    kappa: float


@dataclass(frozen=True)
class ThresholdScores(Rates):
    """Scores at one threshold."""

    threshold: float


@dataclass(frozen=True)
class Scores(Rates):
    """Scores and pixel counts of a model on a split; `scores["f1"]` is the same as `scores.f1`.

    Attributes:
        precision: TP / (TP + FP).
        recall: TP / (TP + FN).
        f1: Harmonic mean of precision and recall.
        iou: Intersection over union of the change.
        oa: Overall accuracy.
        kappa: Cohen's kappa.
        tp: True positives.
        fp: False positives.
        fn: False negatives.
        tn: True negatives.
        mean_image_f1: Mean over images of the F1 of each image; 1 for an image without change and without a positive.
        images: Number of images with a pixel that is not ignored.
        threshold: Minimum probability for a pixel to count as changed.
        best_threshold: Threshold of `sweep` with the highest F1.
        best_threshold_f1: F1 at `best_threshold`.
        sweep: Scores at the thresholds `SWEEP`.
        positive: What the pixel counts and the scores above are of: `"change"`, or `"building"` for tasks about buildings.
        further: Scores of the task by name, such as `sek` or `iou_water`.
        matrices: Confusion matrices of the task by name, whose rows are predictions and whose columns are targets; and
            `transitions_*`, the pixels of each class before (rows) and after (columns) a change.
        labels: Name of each row and column of the matrices.
    """

    tp: int
    fp: int
    fn: int
    tn: int
    mean_image_f1: float
    images: int
    threshold: float
    best_threshold: float | None = None
    best_threshold_f1: float | None = None
    sweep: list[ThresholdScores] = field(default_factory=list)
    positive: str = "change"
    further: dict[str, float] = field(default_factory=dict)
    matrices: dict[str, list[list[int]]] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.further[name] if name in self.further else self.to_dict()[name]

    def __repr__(self) -> str:
        """Return the summary scores and the first ones of the task; `to_dict` has all of them."""
        shown = {name: getattr(self, name) for name in ("f1", "iou", "precision", "recall", "oa", "kappa")}
        shown |= dict([*self.further.items()][:4])
        text = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
        return f"Scores({text}; {self.images} images, threshold {self.threshold:g})"

    @property
    def confusion(self) -> Confusion:
        """The pixel counts."""
        return Confusion(self.tp, self.fp, self.fn, self.tn)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without those that only tasks of several classes have for others."""
        unset = {"positive": "change", "further": {}, "matrices": {}, "labels": {}}
        return {key: value for key, value in asdict(self).items() if key not in unset or value != unset[key]}


class ChangeCounts:
    """Counts pixels by target and by the highest threshold that their probability reaches.

    One int64 table contains the confusion matrix at every threshold. The F1 of the images is summed in fixed-point arithmetic,
    because sums of floats depend on their order. The scores are thus independent of batch order and number of processes.

    Args:
        threshold: Minimum probability for a pixel to count as changed, in (0, 1).
        device: Device of the probabilities and targets.

    Attributes:
        counts: (2, levels + 1) int64: unchanged and changed pixels by level.
        images: Number of images with a pixel that is not ignored.
    """

    def __init__(self, threshold: float = 0.5, device: torch.device | str = "cpu") -> None:
        self.threshold = threshold
        self.levels = sorted({*SWEEP, threshold})
        self.borders = torch.tensor(self.levels, device=device)
        self.counts = torch.zeros(2, len(self.levels) + 1, dtype=torch.int64, device=device)
        self.images = 0
        self._image_f1 = 0

    def update(self, probability: Tensor, mask: Tensor) -> list[Confusion]:
        """Count the pixels of a batch and return the confusion matrix of each image.

        Args:
            probability: (B, H, W) float32 in [0, 1].
            mask: (B, H, W): 0 unchanged, 255 ignored, any other value changed.
        """
        level = torch.bucketize(probability.contiguous(), self.borders, right=True)
        # Ignored pixels go to a third row; selecting pixels with a mask would synchronize the device for each image.
        row = torch.where(mask == IGNORE_INDEX, 2, (mask > 0).long())
        row += 3 * torch.arange(len(mask), device=row.device)[:, None, None]
        width = len(self.levels) + 1
        tables = torch.bincount((row * width + level).flatten(), minlength=3 * len(mask) * width).view(-1, 3, width)[:, :2]
        self.counts += tables.sum(0)
        confusions = [self._confusion(table, self.threshold) for table in tables.tolist()]
        counted = [confusion for confusion in confusions if confusion.pixels]
        self._image_f1 += sum(round(image_f1(confusion) * _FIXED_POINT) for confusion in counted)
        self.images += len(counted)
        return confusions

    def confusion(self) -> Confusion:
        """Return the confusion matrix at the threshold, over all images and processes."""
        return self._confusion(pooled([self.counts])[0].tolist(), self.threshold)

    def summary(self) -> Scores:
        """Return the scores over all images and processes."""
        return self.scores(*pooled(self.state()))

    def state(self) -> list[Tensor]:
        """Return all counts as int64 tensors, which can be added to those of other processes."""
        return [self.counts, self.counts.new_tensor([self._image_f1, self.images])]

    def scores(self, counts: Tensor, image_counts: Tensor) -> Scores:
        """Return the scores of a `state()`."""
        table, (image_f1, images) = counts.tolist(), image_counts.tolist()
        confusion = self._confusion(table, self.threshold)
        sweep = [ThresholdScores(**self._confusion(table, level).scores(), threshold=level) for level in SWEEP]
        best = max(sweep, key=lambda point: point.f1)
        return Scores(
            **confusion.to_dict(),
            mean_image_f1=image_f1 / _FIXED_POINT / images if images else 0.0,
            images=images,
            threshold=self.threshold,
            best_threshold=best.threshold,
            best_threshold_f1=best.f1,
            sweep=sweep,
        )

    def _confusion(self, table: Sequence[Sequence[int]], threshold: float) -> Confusion:
        first = self.levels.index(threshold) + 1
        unchanged, changed = table
        return Confusion(tp=sum(changed[first:]), fp=sum(unchanged[first:]), fn=sum(changed[:first]), tn=sum(unchanged[:first]))


def image_f1(confusion: Confusion) -> float:
    """Return the F1 of one image; 1 if no pixel changed and none is predicted as changed."""
    return 1.0 if confusion.tp + confusion.errors == 0 else confusion.f1


def pooled(counts: Sequence[Tensor]) -> list[Tensor]:
    """Return int64 tensors added over all processes, by one reduction."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return list(counts)
    flat = torch.cat([tensor.flatten() for tensor in counts])
    torch.distributed.all_reduce(flat)
    return [part.view_as(tensor) for part, tensor in zip(torch.split(flat, [t.numel() for t in counts]), counts, strict=True)]
