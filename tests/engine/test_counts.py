"""Counts do not depend on the order or the batches of the work."""

import pytest
import torch
from torchmetrics.classification import BinaryCohenKappa, BinaryConfusionMatrix, BinaryF1Score

from cdzoo.metrics import SWEEP, ChangeCounts, Confusion


def confusion(matrix):
    (tn, fp), (fn, tp) = matrix.tolist()
    return Confusion(tp, fp, fn, tn)


@pytest.fixture
def predictions():
    probability = torch.rand(7, 20, 30)
    mask = (torch.rand(7, 20, 30) > 0.7).long()
    mask[2], probability[2] = 0, 0.12  # not at a threshold: torchmetrics takes only what lies above it
    return probability, mask


def test_counts_agree_with_torchmetrics_at_every_threshold(predictions):
    probability, mask = predictions
    counts = ChangeCounts(0.37)
    counts.update(probability, mask)
    summary = counts.summary()
    assert counts.confusion() == confusion(BinaryConfusionMatrix(0.37, ignore_index=255)(probability, mask))
    assert summary["kappa"] == pytest.approx(BinaryCohenKappa(0.37)(probability, mask).item(), abs=1e-5)
    assert [row["threshold"] for row in summary["sweep"]] == list(SWEEP)
    for row in summary["sweep"]:
        assert row["f1"] == pytest.approx(BinaryF1Score(row["threshold"])(probability, mask).item(), abs=1e-5)
    best = max(summary["sweep"], key=lambda row: row["f1"])
    assert (summary["best_threshold"], summary["best_threshold_f1"]) == (best["threshold"], best["f1"])


def test_a_probability_at_the_threshold_counts_as_changed():
    for threshold in (0.5, 0.05, 0.3, 0.37):
        counts = ChangeCounts(threshold)
        value = torch.full((1, 1, 1), threshold)
        counts.update(value, torch.ones(1, 1, 1).long())
        assert counts.confusion().tp == int(value.item() >= torch.tensor(threshold).item())


def test_no_order_and_no_batching_changes_a_digit(predictions):
    probability, mask = predictions
    summaries = []
    for order in (list(range(7)), [6, 2, 4, 0, 1, 3, 5]):
        for size in (1, 2, 7):
            counts = ChangeCounts(0.5)
            for first in range(0, 7, size):
                chosen = order[first : first + size]
                counts.update(probability[chosen], mask[chosen])
            summaries.append(counts.summary())
    assert all(summary == summaries[0] for summary in summaries)


def test_mean_image_f1_has_its_own_definition(predictions):
    probability, mask = predictions
    counts = ChangeCounts(0.5)
    counts.update(probability, mask)
    each = [Confusion.of(p >= 0.5, m) for p, m in zip(probability, mask, strict=True)]
    by_hand = sum(1.0 if one.tp + one.fp + one.fn == 0 else one.f1 for one in each) / 7
    summary = counts.summary()
    assert summary["mean_image_f1"] == pytest.approx(by_hand, abs=1e-11) and summary["mean_image_f1"] != summary["f1"]


def test_ignored_pixels_and_absent_classes():
    counts = ChangeCounts()
    counts.update(torch.ones(1, 4, 4), torch.full((1, 4, 4), 255))
    assert counts.confusion() == Confusion(0, 0, 0, 0)
    assert counts.summary()["f1"] == 0 and counts.summary()["kappa"] == 0
    counts.update(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4).long())
    assert counts.summary()["oa"] == 1 and counts.summary()["f1"] == 0


def test_large_counts_stay_exact():
    counts = ChangeCounts()
    counts.counts += 2**40
    assert counts.confusion().tp == 10 * 2**40
