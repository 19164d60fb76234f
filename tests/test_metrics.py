"""Scores of the class "change" from one confusion matrix."""

import pytest
import torch
from torchmetrics.classification import BinaryCohenKappa, BinaryConfusionMatrix, BinaryF1Score, BinaryJaccardIndex

from cdzoo.metrics import Confusion


def test_scores_agree_with_torchmetrics():
    predicted, truth = torch.rand(3, 20, 30) > 0.6, torch.rand(3, 20, 30) > 0.7
    ours = Confusion.of(predicted, truth)
    (tn, fp), (fn, tp) = BinaryConfusionMatrix()(predicted.int(), truth.int()).tolist()
    assert ours == Confusion(tp, fp, fn, tn)
    assert ours.f1 == pytest.approx(BinaryF1Score()(predicted.int(), truth.int()).item(), abs=1e-6)
    assert ours.iou == pytest.approx(BinaryJaccardIndex()(predicted.int(), truth.int()).item(), abs=1e-6)
    assert ours.kappa == pytest.approx(BinaryCohenKappa()(predicted.int(), truth.int()).item(), abs=1e-6)
    assert ours.iou == pytest.approx(ours.f1 / (2 - ours.f1))


def test_by_hand():
    c = Confusion(tp=6, fp=2, fn=4, tn=8)
    assert (c.precision, c.recall, c.oa) == (0.75, 0.6, 0.7)
    assert c.f1 == pytest.approx(2 * 0.75 * 0.6 / 1.35) and c.iou == 0.5


def test_pooling_is_not_averaging():
    a, b = Confusion(1, 0, 0, 99), Confusion(0, 50, 50, 0)
    assert (a + b).f1 == pytest.approx(2 / 102) and (a.f1 + b.f1) / 2 == 0.5


def test_absent_classes_have_defined_scores():
    assert Confusion(0, 0, 0, 10).scores() == {"precision": 0, "recall": 0, "f1": 0, "iou": 0, "oa": 1, "kappa": 0}
