"""Tiles, sliding windows and blended windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdzoo.errors import ConfigError
from cdzoo.tiling import Window, blending_weights, sliding_windows, tile_name, tile_windows, window_spans


def test_a_window_indexes_its_pixels():
    image = np.arange(60).reshape(6, 10)
    window = Window.of(range(1, 4), range(5, 10))
    assert window == Window(1, 5, 3, 5)
    np.testing.assert_array_equal(image[window.slices], image[1:4, 5:10])


@given(height=st.integers(32, 300), width=st.integers(32, 300), tile=st.integers(32, 128))
def test_tiles_contain_every_pixel_once(height, width, tile):
    count = np.zeros((height, width), int)
    windows = tile_windows(height, width, tile)
    for window in windows:
        assert min(window.height, window.width) >= 32
        count[window.slices] += 1
    assert (count == 1).all() and len({tile_name("x", window) for window in windows}) == len(windows)


@given(height=st.integers(32, 300), width=st.integers(32, 300), window=st.integers(32, 100), overlap=st.integers(0, 24))
def test_sliding_windows_have_one_size_and_cover_the_image(height, width, window, overlap):
    covered = np.zeros((height, width), bool)
    for found in sliding_windows(height, width, window, overlap):
        assert (found.height, found.width) == (min(window, height), min(window, width))
        assert covered[found.slices].shape == (found.height, found.width)
        covered[found.slices] = True
    assert covered.all()


@given(
    length=st.integers(1, 3000),
    window=st.integers(64, 512),
    share=st.floats(0, 0.5),
    multiple=st.sampled_from([1, 4, 16, 32]),
)
def test_blending_weights_sum_to_one(length, window, share, multiple):
    spans = window_spans(length, window, int(share * window), multiple)
    total = np.zeros(length)
    for span, weight in zip(spans, blending_weights(spans), strict=True):
        assert span.start % multiple == 0 and 0 <= span.start < span.stop <= length and len(span) <= window
        assert weight.min() >= 0 and len(weight) == len(span)
        total[span.start : span.stop] += weight
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert spans[-1].stop == length and (len(spans) == 1 or len(spans[-1]) > window - multiple)


@given(length=st.integers(200, 2000), overlap=st.integers(30, 64))
def test_weights_are_zero_near_inner_borders(length, overlap):
    spans = window_spans(length, 128, overlap)
    for index, (span, weight) in enumerate(zip(spans, blending_weights(spans), strict=True)):
        margin = overlap // 3
        if index > 0:
            assert (weight[:margin] == 0).all()
        else:
            assert weight[0] == 1
        if index + 1 < len(spans):
            assert (weight[-margin:] == 0).all()
        else:
            assert weight[-1] == 1 and span.stop == length


def test_values_computed_by_hand():
    assert window_spans(300, 128, 32, 32) == [range(128), range(96, 224), range(192, 300)]
    assert window_spans(100, 128, 32) == [range(100)]
    assert sliding_windows(100, 50, 64, 32) == [Window(0, 0, 64, 50), Window(32, 0, 64, 50), Window(36, 0, 64, 50)]
    first, second = blending_weights([range(10), range(4, 14)])
    np.testing.assert_allclose(first, [1, 1, 1, 1, 1, 1, 0.75, 0.25, 0, 0])
    np.testing.assert_allclose(second[:6], 1 - first[4:])


@pytest.mark.parametrize(
    ("overlap", "multiple", "message"),
    [(65, 1, "half of the tile of 128"), (-1, 1, "between 0 and half"), (64, 128, "leave no step of 128")],
)
def test_invalid_overlaps(overlap, multiple, message):
    with pytest.raises(ConfigError, match=message):
        window_spans(1000, 128, overlap, multiple)
