"""Blocks of a scene: complete, independent of how often the run was interrupted, and of bounded size."""

import numpy as np
import pytest
import torch
from known_backbones import Convolutions

from cdzoo.errors import ConfigError, InputError
from cdzoo.inference.blocks import WindowGrid, predict_blocks
from cdzoo.inference.sources import ArraySource


def images(height, width):
    rng = np.random.default_rng(0)
    return [ArraySource(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)) for _ in range(2)]


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_blocks_hold_whole_batches_and_cover_the_scene_once(detector, batch_size):
    model = detector(Convolutions())
    grid = WindowGrid(model, 100, 1000, tile=64, overlap=32, batch_size=batch_size)
    assert all(len(columns) % batch_size == 0 for columns in grid.blocks[:-1]) and len(grid.blocks) > 1
    assert [i for columns in grid.blocks for i in columns] == list(range(len(grid.columns)))
    blocks = list(predict_blocks(model, *images(100, 1000), grid))
    assert [(block.row, block.number) for block in blocks] == grid.order
    scene = np.full((100, 1000), np.nan, np.float32)
    for block in blocks:
        target = scene[block.window.slices]
        assert np.isnan(target).all() and target.shape == block.probability.shape == block.valid.shape
        target[:] = block.probability
    assert not np.isnan(scene).any()


@pytest.mark.parametrize("batch_size", [2, 16])  # two blocks a row, one block
@pytest.mark.parametrize("height", [64, 160, 162, 190])  # 162: three rows of windows share pixels at the end
def test_any_blocks_predicted_alone_have_the_same_bits(detector, height, batch_size):
    """As after an interruption, or where stored blocks are damaged."""
    torch.manual_seed(1)
    model = detector(Convolutions())
    pair, grid = images(height, 420), WindowGrid(model, height, 420, tile=64, overlap=32, batch_size=batch_size)
    expected = {(block.row, block.number): block.probability for block in predict_blocks(model, *pair, grid)}
    order = grid.order
    choices = [[one] for one in order] + [order[start:] for start in range(len(order))] + [order[::3], []]
    for missing in choices:
        found = list(predict_blocks(model, *pair, grid, missing=missing))
        assert [(block.row, block.number) for block in found] == missing
        for block in found:
            assert np.array_equal(block.probability, expected[block.row, block.number])


def test_only_rows_that_reach_into_missing_ones_are_predicted(detector):
    model = detector(Convolutions())
    grid = WindowGrid(model, 640, 64, tile=64, overlap=16, batch_size=1)
    assert len(grid.rows) > 10 and grid.rows_of({7}) == {6, 7}


def test_blocks_do_not_grow_with_the_scene(detector):
    model, sizes = detector(Convolutions()), []

    class Watched(ArraySource):
        def read(self, window):
            seen.append(window.height * window.width)
            return super().read(window)

    for width in (800, 1600):
        seen = []
        pair = [Watched(source.pixels) for source in images(64, width)]
        grid = WindowGrid(model, 64, width, tile=64, overlap=16, batch_size=4)
        list(predict_blocks(model, *pair, grid))
        sizes.append(max(seen))
    assert sizes[0] == sizes[1]


def test_a_fixed_input_size_makes_all_windows_equal(detector):
    model = detector(Convolutions())
    model.backbone.fixed_input_size = 64
    grid = WindowGrid(model, 101, 150, tile=64, overlap=16, batch_size=1)
    assert {len(span) for span in (*grid.rows, *grid.columns)} == {64}
    with pytest.raises(ConfigError, match="use tile=64, got 128"):
        WindowGrid(model, 200, 200, tile=128, overlap=16, batch_size=1)
    with pytest.raises(InputError, match="at least 64x64 pixels, got 200x40"):
        WindowGrid(model, 40, 200, tile=64, overlap=16, batch_size=1)
