"""Parts of a scene: cut and carried so that neither their borders nor a new beginning leave a trace."""

import numpy as np
import pytest
import torch
from known_backbones import Convolutions

from cdzoo.inference.blocks import ArraySource, CarryInMemory, Plan, parts
from cdzoo.scenes.journal import Journal


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


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_parts_are_whole_batches_and_cover_the_scene_once(detector, batch_size):
    model = detector(Convolutions())
    plan = Plan(model, 100, 1000, tile=64, overlap=32, batch_size=batch_size)
    assert all(len(tiles) % batch_size == 0 for tiles in plan.parts[:-1]) and len(plan.parts) > 1
    assert [i for tiles in plan.parts for i in tiles] == list(range(len(plan.columns)))
    found = list(parts(model, *images(100, 1000), plan, CarryInMemory()))
    assert [(part.strip, part.number) for part in found] == [
        (s, p) for s in range(len(plan.rows)) for p in range(len(plan.parts))
    ]
    assert not np.isnan(assembled(found, 100, 1000)).any()


@pytest.mark.parametrize("batch_size", [2, 16])  # two parts, one part
@pytest.mark.parametrize("height", [64, 160, 162, 190])  # 162: three rows of tiles share pixels at the end
def test_a_new_beginning_at_any_part_gives_the_same_bits(detector, tmp_path, height, batch_size):
    """Also where the part before was predicted but not yet written when the run was killed."""
    torch.manual_seed(1)
    model = detector(Convolutions())
    pair, plan = images(height, 420), Plan(model, height, 420, tile=64, overlap=32, batch_size=batch_size)
    whole = list(parts(model, *pair, plan, CarryInMemory()))
    for stop in range(1, len(plan.order) + 1):
        for unwritten in (0, 1):
            journal = Journal(tmp_path / f"{stop}_{unwritten}.tif", {})
            run = parts(model, *pair, plan, journal)
            for part in [next(run) for _ in range(stop)][: stop - unwritten]:
                journal.write(part.strip, part.number, mask=part.probability)
            run.close()
            finished = Journal(tmp_path / f"{stop}_{unwritten}.tif", {}).finished(plan.order)
            assert finished == stop - unwritten
            again = list(parts(model, *pair, plan, journal, begin=finished))
            assert [(part.strip, part.number) for part in again] == plan.order[finished:]
            for own, expected in zip(again, whole[finished:], strict=True):
                assert np.array_equal(own.probability, expected.probability)


def test_what_is_carried_on_disk_stays_within_a_few_strips(detector, tmp_path):
    model, most = detector(Convolutions()), 0
    plan, journal = Plan(model, 500, 64, tile=64, overlap=16, batch_size=1), Journal(tmp_path / "c.tif", {})
    for _ in parts(model, *images(500, 64), plan, journal):
        most = max(most, len(list(journal.folder.glob("carry_*"))))
    assert most == 3 and len(plan.rows) > 6


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
        plan = Plan(model, 64, width, tile=64, overlap=16, batch_size=4)
        list(parts(model, *pair, plan, CarryInMemory()))
        sizes.append(max(seen))
    assert sizes[0] == sizes[1]
