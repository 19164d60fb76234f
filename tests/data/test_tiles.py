"""Tiles cover every pixel once."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cdzoo.data.folder import FolderPairs
from cdzoo.data.tiles import TiledPairs
from cdzoo.errors import ConfigError
from cdzoo.tiling import tile_windows


@given(st.integers(1, 400), st.integers(1, 400), st.integers(32, 200))
def test_every_pixel_is_in_one_tile(height, width, tile):
    times = np.zeros((height, width), int)
    windows = tile_windows(height, width, tile)
    for window in windows:
        times[window.y : window.y + window.height, window.x : window.x + window.width] += 1
        assert min(window.height, window.width) >= min(32, height, width)
        assert max(window.height, window.width) < tile + 32
    assert (times == 1).all()


def test_official_tiles_of_levir():
    windows = tile_windows(1024, 1024, 256)
    assert len(windows) == 16 and {(w.height, w.width) for w in windows} == {(256, 256)}


def test_tiles_are_cut_from_both_dates_and_the_mask(pair_folder):
    whole = FolderPairs(pair_folder(2, 96))
    tiles = TiledPairs(whole, 48)
    assert len(tiles) == 8 and tiles.names[:5] == [
        "pair_0_0000_0000",
        "pair_0_0000_0048",
        "pair_0_0048_0000",
        "pair_0_0048_0048",
        "pair_1_0000_0000",
    ]
    for index in (6, 1, 7, 0):  # any order
        tile, image = tiles[index], whole[index // 4]
        y, x = divmod(index % 4, 2)
        window = (..., slice(48 * y, 48 * y + 48), slice(48 * x, 48 * x + 48))
        assert all(torch.equal(cut, date[window]) for cut, date in zip(tile.images, image.images, strict=True))
        assert torch.equal(tile.target["mask"], image.target["mask"][window])
        assert tile.name == tiles.names[index]


def test_images_no_larger_than_a_tile_keep_their_names(pair_folder):
    tiles = TiledPairs(FolderPairs(pair_folder(3, 48)), 64)
    assert tiles.names == ["pair_0", "pair_1", "pair_2"] and tiles[2].target["mask"].shape == (48, 48)


def test_tiles_below_the_smallest_size_raise():
    with pytest.raises(ConfigError, match="at least 32"):
        tile_windows(100, 100, 16)
