"""Parts of a scene: cut and carried so that neither their borders nor a new beginning leave a trace."""

import numpy as np
import pytest
import torch
from known_backbones import Convolutions

from cdzoo.scenes.raster import ArraySource
from cdzoo.scenes.strips import Plan, parts


def images(height, width):
    rng = np.random.default_rng(0)
    return [ArraySource(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)) for _ in range(2)]


def assembled(found, height, width):
    whole = np.full((height, width), np.nan, np.float32)
    for part in found:
        target = whole[part.rows.start : part.rows.stop, part.columns.start : part.columns.stop]
        assert np.isnan(target).all() and target.shape == part.probability.shape == part.valid.shape
        target[:] = part.probability
    return whole


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_parts_are_whole_batches_and_cover_the_scene_once(detector, batch_size):
    model = detector(Convolutions())
    plan = Plan(model, 100, 1000, tile=64, overlap=32, batch_size=batch_size)
    assert all(len(tiles) % batch_size == 0 for tiles in plan.parts[:-1]) and len(plan.parts) > 1
    assert [i for tiles in plan.parts for i in tiles] == list(range(len(plan.columns)))
    found = list(parts(model, *images(100, 1000), plan))
    assert [(part.strip, part.number) for part in found] == [(s, p) for s in range(len(plan.rows)) for p in range(len(plan.parts))]
    assert not np.isnan(assembled(found, 100, 1000)).any()


@pytest.mark.parametrize("height", [64, 160, 162, 190])  # 162: three rows of tiles share pixels at the end
def test_a_new_beginning_at_any_strip_gives_the_same_bits(detector, height):
    torch.manual_seed(1)
    model = detector(Convolutions())
    pair, plan = images(height, 420), Plan(model, height, 420, tile=64, overlap=32, batch_size=2)
    whole = list(parts(model, *pair, plan))
    for begin in range(len(plan.rows) + 1):
        again = list(parts(model, *pair, plan, begin=begin))
        expected = [part for part in whole if part.strip >= begin]
        assert [(part.strip, part.number) for part in again] == [(part.strip, part.number) for part in expected]
        assert all(np.array_equal(a.probability, b.probability) for a, b in zip(again, expected, strict=True))


def test_only_what_reaches_into_a_strip_is_predicted_again(detector):
    plan = Plan(detector(Convolutions()), 162, 64, tile=64, overlap=32, batch_size=1)
    reached = [plan.begin_for(strip) for strip in range(len(plan.rows))]
    assert reached[:-1] == [0, *range(len(plan.rows) - 2)] and reached[-1] == len(plan.rows) - 3


def test_windows_do_not_grow_with_the_scene(detector):
    """What is read at once is as large for a wide scene as for one of twice its width."""
    model, sizes = detector(Convolutions()), []

    class Watched(ArraySource):
        def read(self, rows, columns):
            seen.append(rows.size * columns.size)
            return super().read(rows, columns)

    for width in (800, 1600):
        seen = []
        pair = [Watched(source.pixels) for source in images(64, width)]
        list(parts(model, *pair, Plan(model, 64, width, tile=64, overlap=16, batch_size=4)))
        sizes.append(max(seen))
    assert sizes[0] == sizes[1]
