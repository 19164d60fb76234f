import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdzoo.errors import ConfigError
from cdzoo.tiling import Span, blend, cut


@given(
    length=st.integers(1, 3000),
    tile=st.integers(64, 512),
    share=st.floats(0, 0.5),
    multiple=st.sampled_from([1, 4, 16, 32]),
)
def test_tiles_cover_the_axis_and_their_weights_add_up_to_one(length, tile, share, multiple):
    spans = cut(length, tile, int(share * tile), multiple)
    total = np.zeros(length)
    for span, weight in zip(spans, blend(spans), strict=True):
        assert span.start % multiple == 0 and 0 <= span.start < span.stop <= length and span.size <= tile
        assert weight.min() >= 0 and len(weight) == span.size
        total[span.start : span.stop] += weight
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert spans[-1].stop == length and (len(spans) == 1 or spans[-1].size > tile - multiple)


@given(length=st.integers(200, 2000), overlap=st.integers(30, 64))
def test_a_tile_has_no_say_near_its_inner_borders(length, overlap):
    spans = cut(length, 128, overlap)
    for index, (span, weight) in enumerate(zip(spans, blend(spans), strict=True)):
        margin = overlap // 3
        if index > 0:
            assert (weight[:margin] == 0).all()
        else:
            assert weight[0] == 1
        if index + 1 < len(spans):
            assert (weight[-margin:] == 0).all()
        else:
            assert weight[-1] == 1 and span.stop == length


def test_by_hand():
    assert cut(300, 128, 32, 32) == [Span(0, 128), Span(96, 224), Span(192, 300)]
    assert cut(100, 128, 32) == [Span(0, 100)]
    first, second = blend([Span(0, 10), Span(4, 14)])
    np.testing.assert_allclose(first, [1, 1, 1, 1, 1, 1, 0.75, 0.25, 0, 0])
    np.testing.assert_allclose(second[:6], 1 - first[4:])


@pytest.mark.parametrize(
    ("overlap", "multiple", "message"), [(65, 1, "half of the tile"), (-1, 1, "half"), (64, 128, "no step of 128")]
)
def test_overlaps_that_cannot_be(overlap, multiple, message):
    with pytest.raises(ConfigError, match=message):
        cut(1000, 128, overlap, multiple)
