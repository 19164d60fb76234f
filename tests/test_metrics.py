"""Scores of the class "change", pixel counts of a split, and the spread over several runs."""

import pytest
import torch
from torchmetrics.classification import BinaryCohenKappa, BinaryConfusionMatrix, BinaryF1Score, BinaryJaccardIndex

from cdzoo.metrics import SUMMARY_SCORES, SWEEP, ChangeCounts, Confusion, Scores, spread, spread_table


def from_torchmetrics(matrix):
    (tn, fp), (fn, tp) = matrix.tolist()
    return Confusion(tp, fp, fn, tn)


class TestConfusion:
    def test_agrees_with_torchmetrics(self):
        predicted, truth = torch.rand(3, 20, 30) > 0.6, torch.rand(3, 20, 30) > 0.7
        ours = Confusion.of(predicted, truth)
        assert ours == from_torchmetrics(BinaryConfusionMatrix()(predicted.int(), truth.int()))
        assert ours.f1 == pytest.approx(BinaryF1Score()(predicted.int(), truth.int()).item(), abs=1e-6)
        assert ours.iou == pytest.approx(BinaryJaccardIndex()(predicted.int(), truth.int()).item(), abs=1e-6)
        assert ours.kappa == pytest.approx(BinaryCohenKappa()(predicted.int(), truth.int()).item(), abs=1e-6)
        assert ours.iou == pytest.approx(ours.f1 / (2 - ours.f1))

    def test_scores_computed_by_hand(self):
        c = Confusion(tp=6, fp=2, fn=4, tn=8)
        assert (c.precision, c.recall, c.oa, c.errors) == (0.75, 0.6, 0.7, 6)
        assert c.f1 == pytest.approx(2 * 0.75 * 0.6 / 1.35) and c.iou == 0.5

    def test_ignored_pixels_are_not_counted(self):
        predicted = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0]])
        truth = torch.tensor([[1, 255, 0, 255], [255, 255, 255, 255]])
        assert Confusion.of(predicted, truth) == Confusion(1, 0, 0, 1)
        counts = ChangeCounts()
        each = counts.update(predicted[:, None].float(), truth[:, None])
        assert each == [Confusion.of(p, m) for p, m in zip(predicted, truth, strict=True)]
        assert counts.images == 1 and counts.summary().mean_image_f1 == 1.0  # an image without a valid pixel has no score

    def test_pooling_differs_from_averaging(self):
        a, b = Confusion(1, 0, 0, 99), Confusion(0, 50, 50, 0)
        assert (a + b).f1 == pytest.approx(2 / 102) and (a.f1 + b.f1) / 2 == 0.5

    def test_absent_classes_have_defined_scores(self):
        assert Confusion(0, 0, 0, 10).scores() == {"precision": 0, "recall": 0, "f1": 0, "iou": 0, "oa": 1, "kappa": 0}


@pytest.fixture
def predictions():
    probability = torch.rand(7, 20, 30)
    mask = (torch.rand(7, 20, 30) > 0.7).long()
    mask[2], probability[2] = 0, 0.12  # not at a threshold: torchmetrics excludes the threshold itself
    return probability, mask


class TestChangeCounts:
    def test_agrees_with_torchmetrics_at_every_threshold(self, predictions):
        probability, mask = predictions
        counts = ChangeCounts(0.37)
        counts.update(probability, mask)
        summary = counts.summary()
        assert counts.confusion() == from_torchmetrics(BinaryConfusionMatrix(0.37)(probability, mask))
        assert summary.kappa == pytest.approx(BinaryCohenKappa(0.37)(probability, mask).item(), abs=1e-5)
        assert [point.threshold for point in summary.sweep] == list(SWEEP)
        for point in summary.sweep:
            assert point.f1 == pytest.approx(BinaryF1Score(point.threshold)(probability, mask).item(), abs=1e-5)
        best = max(summary.sweep, key=lambda point: point.f1)
        assert (summary.best_threshold, summary.best_threshold_f1) == (best.threshold, best.f1)

    def test_the_threshold_itself_counts_as_changed(self):
        for threshold in (0.5, 0.05, 0.3, 0.37):
            counts = ChangeCounts(threshold)
            value = torch.full((1, 1, 1), threshold)
            counts.update(value, torch.ones(1, 1, 1).long())
            assert counts.confusion().tp == int(value.item() >= torch.tensor(threshold).item())

    def test_independent_of_batch_order_and_batch_size(self, predictions):
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

    def test_mean_image_f1_is_the_mean_over_images(self, predictions):
        probability, mask = predictions
        counts = ChangeCounts(0.5)
        counts.update(probability, mask)
        each = [Confusion.of(p >= 0.5, m) for p, m in zip(probability, mask, strict=True)]
        by_hand = sum(1.0 if c.tp + c.errors == 0 else c.f1 for c in each) / 7
        summary = counts.summary()
        assert summary.mean_image_f1 == pytest.approx(by_hand, abs=1e-11) and summary.mean_image_f1 != summary.f1

    def test_update_returns_the_counts_of_each_image_without_ignored_pixels(self, predictions):
        probability, mask = predictions
        mask[:, :5] = 255
        counts = ChangeCounts(0.5)
        each = counts.update(probability, mask)
        assert each == [Confusion.of(p[5:] >= 0.5, m[5:]) for p, m in zip(probability, mask, strict=True)]
        assert sum(each[1:], each[0]) == counts.confusion()

    def test_ignored_pixels_and_absent_classes(self):
        counts = ChangeCounts()
        assert counts.update(torch.ones(1, 4, 4), torch.full((1, 4, 4), 255)) == [Confusion(0, 0, 0, 0)]
        assert counts.confusion() == Confusion(0, 0, 0, 0)
        assert counts.summary().f1 == 0 and counts.summary().kappa == 0
        counts.update(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4).long())
        assert counts.summary().oa == 1 and counts.summary().f1 == 0

    def test_large_counts_stay_exact(self):
        counts = ChangeCounts()
        counts.counts += 2**40
        assert counts.confusion().tp == 10 * 2**40


def test_scores_are_plain_values(predictions):
    counts = ChangeCounts(0.4)
    counts.update(*predictions)
    scores = counts.summary()
    assert isinstance(scores, Scores) and scores["f1"] == scores.f1 == scores.to_dict()["f1"]
    assert scores.to_dict()["sweep"][3]["iou"] == scores.sweep[3].iou
    assert scores.tp + scores.fp + scores.fn + scores.tn == 7 * 20 * 30


def test_spread_over_runs():
    runs = [dict.fromkeys(SUMMARY_SCORES, value) for value in (0.5, 0.7)]
    score = spread(runs)["f1"]
    assert score.mean == pytest.approx(0.6) and score.std == pytest.approx(0.02**0.5) and score.values == [0.5, 0.7]
    assert spread(runs[:1])["iou"].std is None
    assert "f1             60.00 +- 14.14" in spread_table("test", runs)
