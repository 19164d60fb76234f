"""Bootstrap over images: against a plain implementation, coverage, pairs, and degenerate sets."""

import numpy as np
import pytest

from cdzoo.bootstrap import SCORES, ImageScore, confidence_intervals, paired_difference
from cdzoo.metrics import Confusion


def images(count, seed=0, gain=0):
    rng = np.random.default_rng(seed)
    rows = rng.integers(1, 1000, (count, 3))
    return [ImageScore(f"i{n}", int(tp) + gain, int(fp), max(0, int(fn) - gain), 5000) for n, (tp, fp, fn) in enumerate(rows)]


def test_intervals_agree_with_a_plain_bootstrap():
    given = images(40)
    found = confidence_intervals(given, replicates=4000)
    rng = np.random.default_rng(7)
    plain = {name: [] for name in SCORES}
    for _ in range(4000):
        drawn = [given[i].confusion for i in rng.integers(0, 40, 40)]
        pooled = sum(drawn[1:], drawn[0])
        for name in SCORES:
            plain[name].append(getattr(pooled, name))
    for name, values in plain.items():
        low, high = np.quantile(values, [0.025, 0.975])
        assert found.scores[name].low == pytest.approx(low, abs=0.006)
        assert found.scores[name].high == pytest.approx(high, abs=0.006)
    total = sum((image.confusion for image in given[1:]), given[0].confusion)
    assert all(found.scores[name].low < getattr(total, name) < found.scores[name].high for name in SCORES)
    assert confidence_intervals(given, 4000) == found != confidence_intervals(given, 4000, seed=1)


def test_sets_without_spread():
    assert confidence_intervals(images(1)) is None and confidence_intervals([]) is None
    empty = confidence_intervals([ImageScore(name, 0, 0, 0, 9) for name in "ab"])
    assert empty.scores["f1"].low == empty.scores["f1"].high == 0
    assert ImageScore("a", 1, 2, 3, 4).confusion == Confusion(1, 2, 3, 4)


def test_paired_differences():
    first, better, other = images(30), images(30, gain=40), images(30, seed=1)
    found = paired_difference(first, better[::-1])
    assert found.difference > 0 and found.p < 0.01 and 0 < found.interval.low < found.difference < found.interval.high
    same = paired_difference(first, first)
    assert same.difference == 0 and same.p == 1
    chance = paired_difference(first, other, "iou")
    assert chance.p > 0.05 and chance.interval.low < 0 < chance.interval.high
    # Resampled together, images of very different difficulty hide no consistent gain: separate intervals overlap.
    separate = [confidence_intervals(one).scores["f1"] for one in (first, better)]
    assert separate[0].high > separate[1].low
    assert paired_difference(first, images(29)) is None and paired_difference(first[:1], better[:1]) is None
