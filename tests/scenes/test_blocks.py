"""Blocks of a scene: complete, independent of how often the run was interrupted, and of bounded size."""

import numpy as np
import pytest
import torch
from known_backbones import Convolutions

from cdzoo.errors import ConfigError, InputError
from cdzoo.inference.blocks import ROWS_KEPT, BorderSumsInMemory, WindowGrid, predict_blocks
from cdzoo.inference.sources import ArraySource
from cdzoo.scenes import SceneCfg
from cdzoo.scenes.job import SceneJob
from cdzoo.scenes.journal import Journal

JOB = SceneJob({}, (), SceneCfg(), 0.5, False)


def images(height, width):
    rng = np.random.default_rng(0)
    return [ArraySource(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)) for _ in range(2)]


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_blocks_hold_whole_batches_and_cover_the_scene_once(detector, batch_size):
    model = detector(Convolutions())
    grid = WindowGrid(model, 100, 1000, tile=64, overlap=32, batch_size=batch_size)
    assert all(len(columns) % batch_size == 0 for columns in grid.blocks[:-1]) and len(grid.blocks) > 1
    assert [i for columns in grid.blocks for i in columns] == list(range(len(grid.columns)))
    blocks = list(predict_blocks(model, *images(100, 1000), grid, BorderSumsInMemory()))
    assert [(block.row, block.number) for block in blocks] == grid.order
    scene = np.full((100, 1000), np.nan, np.float32)
    for block in blocks:
        target = scene[block.window.slices]
        assert np.isnan(target).all() and target.shape == block.probability.shape == block.valid.shape
        target[:] = block.probability
    assert not np.isnan(scene).any()


@pytest.mark.parametrize("batch_size", [2, 16])  # two blocks a row, one block
@pytest.mark.parametrize("height", [64, 160, 162, 190])  # 162: three rows of windows share pixels at the end
def test_resuming_at_any_block_returns_the_same_bits(detector, tmp_path, height, batch_size):
    """Also if the last block was predicted but not yet written when the run was killed."""
    torch.manual_seed(1)
    model = detector(Convolutions())
    pair, grid = images(height, 420), WindowGrid(model, height, 420, tile=64, overlap=32, batch_size=batch_size)
    expected = list(predict_blocks(model, *pair, grid, BorderSumsInMemory()))
    for stop in range(1, len(grid.order) + 1):
        for unwritten in (0, 1):
            journal = Journal(tmp_path / f"{stop}_{unwritten}.tif", JOB)
            run = predict_blocks(model, *pair, grid, journal)
            for block in [next(run) for _ in range(stop)][: stop - unwritten]:
                journal.write(block.row, block.number, mask=block.probability)
            run.close()
            stored = Journal(tmp_path / f"{stop}_{unwritten}.tif", JOB).count(grid.order)
            assert stored == stop - unwritten
            resumed = list(predict_blocks(model, *pair, grid, journal, start=stored))
            assert [(block.row, block.number) for block in resumed] == grid.order[stored:]
            for block, other in zip(resumed, expected[stored:], strict=True):
                assert np.array_equal(block.probability, other.probability)


def test_border_sums_of_a_few_rows_are_kept(detector, tmp_path):
    model, most = detector(Convolutions()), 0
    grid, journal = WindowGrid(model, 500, 64, tile=64, overlap=16, batch_size=1), Journal(tmp_path / "c.tif", JOB)
    for _ in predict_blocks(model, *images(500, 64), grid, journal):
        most = max(most, len(list(journal.folder.glob("sums_*"))))
    assert most == ROWS_KEPT and len(grid.rows) > 6


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
        list(predict_blocks(model, *pair, grid, BorderSumsInMemory()))
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
