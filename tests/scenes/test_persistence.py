"""The rule of series against one written pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdzoo.scenes.persistence import KINDS, persistence, series_probability

STATES = st.integers(2, 8).flatmap(
    lambda images: st.lists(st.sampled_from([0, 1, None]), min_size=images - 1, max_size=images - 1)
)


def slow(states):
    """Return the kind, the first image and the last one before of one pixel; `states` are those of images 2, 3, ..."""
    valid = [(number, state) for number, state in enumerate(states, 2) if state is not None]
    if not valid:
        return None
    for place, (number, state) in enumerate(valid):
        later = [other for _, other in valid[place + 1 :]][:2]
        if state and all(later) and (later or len(states) == 1):
            return "lasting change", number, ([1] + [other for other, _ in valid[:place]])[-1]
    ones = [place for place, (_, state) in enumerate(valid) if state]
    if not ones:
        return "no change", 0, 0
    if any(not state for _, state in valid[ones[0] :]):
        return "passing change", 0, 0
    assert ones == [len(valid) - 1]
    return "unconfirmed change", 0, 0


@settings(max_examples=300)
@given(STATES)
def test_the_rule_equals_one_written_for_a_pixel(states):
    array = np.array([255 if state is None else state for state in states], np.uint8)[:, None, None]
    kind, first, last = (int(values[0, 0]) for values in persistence(array))
    expected = slow(states)
    if expected is None:
        assert (kind, first, last) == (255, 255, 255)
    else:
        assert (KINDS[kind], first, last) == expected


@pytest.mark.parametrize(
    ("states", "kind", "first", "last"),
    [
        ("0111", "lasting change", 3, 2),
        ("0011", "lasting change", 4, 3),
        ("0001", "unconfirmed change", 0, 0),
        ("0100", "passing change", 0, 0),
        ("0110", "passing change", 0, 0),
        ("0101", "passing change", 0, 0),
        ("1011", "lasting change", 4, 3),
        ("1110", "lasting change", 2, 1),
        ("0?11", "lasting change", 4, 2),
        ("01?1", "lasting change", 3, 2),
        ("01??", "unconfirmed change", 0, 0),
        ("1", "lasting change", 2, 1),
        ("?1", "unconfirmed change", 0, 0),
        ("0000", "no change", 0, 0),
    ],
)
def test_examples_of_the_documentation(states, kind, first, last):
    array = np.array([255 if state == "?" else int(state) for state in states], np.uint8)[:, None, None]
    found = persistence(array)
    assert (KINDS[found.kind[0, 0]], found.first[0, 0], found.last_before[0, 0]) == (kind, first, last)


def test_probability_reaches_the_threshold_where_there_is_a_change():
    rng = np.random.default_rng(0)
    probability = rng.random((5, 40, 40)).astype(np.float32)
    probability[rng.random(probability.shape) < 0.3] = np.nan
    states = np.where(np.isnan(probability), 255, probability >= 0.6).astype(np.uint8)
    found = persistence(states)
    one = series_probability(probability, found)
    assert ((one >= 0.6) == np.isin(found.kind, (1, 2, 3))).all() and (np.isnan(one) == (found.kind == 255)).all()
    y, x = (places[0] for places in np.nonzero(found.first == 3))
    valid = [value for value in probability[1:, y, x] if not np.isnan(value)][:3]
    assert one[y, x] == min(valid)
    assert np.array_equal(series_probability(probability[:1], persistence(states[:1])), probability[0], equal_nan=True)
