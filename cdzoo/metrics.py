"""Change-detection scores from one confusion matrix over all pixels, for the class "change"."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from torch import Tensor


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
