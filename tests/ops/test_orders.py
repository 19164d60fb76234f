import pytest
import torch

from cdzoo.ops import list_scan_orders, scan_index
from cdzoo.ops.orders import num_directions


@pytest.mark.parametrize("order", list_scan_orders())
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (5, 1), (3, 4), (7, 6)])
def test_every_direction_visits_every_position_once(order, height, width):
    index = scan_index(order, height, width)
    assert index.dtype == torch.int32 and index.is_contiguous() and len(index) == num_directions(order)
    expected = torch.arange(height * width, dtype=torch.int32).expand_as(index)
    assert torch.equal(index.sort(dim=1).values, expected)


def test_cross_goes_along_rows_and_columns_both_ways():
    rows, columns, rows_back, columns_back = scan_index("cross", 2, 3).tolist()
    assert rows == [0, 1, 2, 3, 4, 5]
    assert columns == [0, 3, 1, 4, 2, 5]
    assert rows_back == rows[::-1] and columns_back == columns[::-1]


def test_corners_starts_at_each_corner():
    index = scan_index("corners", 2, 3).tolist()
    assert index == [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [2, 1, 0, 5, 4, 3], [3, 4, 5, 0, 1, 2]]


def test_omni_adds_the_wrapped_diagonals_and_their_reverses():
    # Token (row h, step w) reads column (h + w) mod W or (w - h) mod W; all rows of a step come before the next step.
    for height, width in ((2, 3), (3, 2), (4, 4), (1, 5)):
        index = scan_index("omni", height, width).tolist()
        assert index[:4] == scan_index("cross", height, width).tolist()
        assert index[4] == [h * width + (h + w) % width for w in range(width) for h in range(height)]
        assert index[5] == [h * width + (w - h) % width for w in range(width) for h in range(height)]
        assert index[6] == index[4][::-1] and index[7] == index[5][::-1]


def test_tables_are_cached():
    assert scan_index("cross", 4, 5) is scan_index("cross", 4, 5)


def test_unknown_order_raises_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'spiral'.*corners, cross, omni"):
        scan_index("spiral", 2, 2)
