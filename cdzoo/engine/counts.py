"""`ChangeCounts`: every score of an evaluation from whole-number counts, so that no order of work changes a digit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from cdzoo.metrics import Confusion

SWEEP = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Thresholds at which an evaluation counts beside its own."""

_FIXED = 2**40
IGNORED = 255


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
            valid = truth != IGNORED
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
