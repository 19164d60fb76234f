"""Evaluation: batches, windows, tiles, sizes and ignored pixels."""

import dataclasses
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cdzoo.data.folder import FolderPairs
from cdzoo.data.sample import Sample, as_sample
from cdzoo.data.tiles import TiledPairs
from cdzoo.inference.evaluate import _equal_sizes, evaluate, predict_windows
from cdzoo.protocol import Protocol
from cdzoo.tiling import sliding_windows

WHOLE = Protocol("test")


@given(st.integers(32, 300), st.integers(32, 300), st.integers(32, 100), st.integers(0, 31))
def test_windows_cover_the_image_and_stay_inside(height, width, window, overlap):
    times = np.zeros((height, width), int)
    for cut in sliding_windows(height, width, window, overlap):
        assert cut.y + cut.height <= height and cut.x + cut.width <= width
        assert (cut.height, cut.width) == (min(window, height), min(window, width))
        times[cut.y : cut.y + cut.height, cut.x : cut.x + cut.width] += 1
    assert times.min() >= 1


@pytest.fixture
def model(tiny):
    return tiny()


def test_scores_are_independent_of_batch_size_and_processes(model, pair_folder):
    samples = FolderPairs(pair_folder(5, 40))
    summaries = [evaluate(model, samples, WHOLE, batch_size=size).summary() for size in (1, 2, 5)]
    assert summaries[0] == summaries[1] == summaries[2]
    halves = [evaluate(model, samples, WHOLE, rank=rank, world=2) for rank in (0, 1)]
    assert torch.equal(halves[0].counts + halves[1].counts, evaluate(model, samples, WHOLE).counts)
    assert halves[0].images + halves[1].images == 5


def test_samples_may_differ_in_size(model, pair_folder):
    small, large = FolderPairs(pair_folder(3, 40, name="a")), FolderPairs(pair_folder(2, 56, name="b"))
    mixed = [small[0], large[0], small[1], large[1], small[2]]
    pooled = evaluate(model, mixed, WHOLE, batch_size=4)
    parts = [evaluate(model, part, WHOLE) for part in (small, large)]
    assert torch.equal(pooled.counts, parts[0].counts + parts[1].counts)


class Sizes:
    """Pairs of which no two have one size; counts how many are in memory."""

    def __init__(self, count):
        self.names, self.alive, self.most = [f"s{index}" for index in range(count)], 0, 0

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        image, mask = torch.zeros(3, 32, 32 + index, dtype=torch.uint8), torch.zeros(32, 32 + index, dtype=torch.int64)
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(mask, self.forget)
        return Sample((image, image.clone()), {"mask": mask}, self.names[index])

    def forget(self):
        self.alive -= 1


def test_samples_of_200_sizes_are_not_kept(model, monkeypatch):
    monkeypatch.setattr("cdzoo.inference.evaluate.predict_windows", lambda model, images, *_: torch.zeros(images[0][:, 0].shape))
    samples, seen = Sizes(200), []
    evaluate(model, samples, WHOLE, batch_size=2, on_sample=seen.append)
    assert sorted(score.index for score in seen) == list(range(200)) and samples.most <= 12 and samples.alive == 0


def test_every_sample_is_reported(model, pair_folder):
    samples, seen = FolderPairs(pair_folder(5, 40)), []
    counts = evaluate(model, samples, WHOLE, batch_size=2, on_sample=seen.append)
    assert sorted(score.index for score in seen) == list(range(5)) and seen[0].name == samples.names[seen[0].index]
    assert sum((score.confusion for score in seen[1:]), seen[0].confusion) == counts.confusion()


def test_windows_without_overlap_are_tiles(model, pair_folder):
    whole = FolderPairs(pair_folder(2, 96))
    windows = evaluate(model, whole, Protocol("w", window=48), batch_size=3)
    tiles = evaluate(model, TiledPairs(whole, 48), WHOLE, batch_size=4)
    assert torch.equal(windows.counts, tiles.counts)
    assert windows.images == 2 and tiles.images == 8


def test_overlapping_windows_are_averaged(model):
    model.eval()
    a, b = torch.rand(2, 3, 48, 80), torch.rand(2, 3, 48, 80)
    with torch.no_grad():
        mean = predict_windows(model, (a, b), Protocol("w", window=48, overlap=16), batch_size=1)
        left = predict_windows(model, (a[..., :48], b[..., :48]), WHOLE)
        right = predict_windows(model, (a[..., 32:], b[..., 32:]), WHOLE)
    torch.testing.assert_close(mean[..., :32], left[..., :32])
    torch.testing.assert_close(mean[..., 32:48], (left[..., 32:] + right[..., :16]) / 2)
    torch.testing.assert_close(mean[..., 48:], right[..., 16:])


def test_the_model_returns_to_its_mode(model, pair_folder):
    samples = FolderPairs(pair_folder(1, 40))
    for mode in (True, False):
        model.train(mode)
        evaluate(model, samples, WHOLE)
        assert model.training is mode


def test_uses_the_threshold_of_the_protocol(model, pair_folder):
    samples = FolderPairs(pair_folder(2, 40))
    sweep = {point.threshold: point.recall for point in evaluate(model, samples, WHOLE).summary().sweep}
    for threshold in (0.05, 0.9):
        protocol = dataclasses.replace(WHOLE, threshold=threshold)
        assert evaluate(model, samples, protocol).summary().recall == sweep[threshold]


def test_ignored_pixels_of_a_sample_are_not_counted(model, pair_folder):
    sample = as_sample(FolderPairs(pair_folder(1, 40))[0])
    sample.target["mask"][:20] = 255
    seen = []
    counts = evaluate(model, [sample], WHOLE, on_sample=seen.append)
    confusion = seen[0].confusion
    assert confusion.tp + confusion.fp + confusion.fn + confusion.tn == 20 * 40
    assert confusion == counts.confusion()


def sized(count):
    """Samples of different sizes, at least 32 pixels."""
    generator = torch.Generator().manual_seed(0)
    for index in range(count):
        size = (32 + index // 15, 32 + index % 15)
        images = tuple(torch.rand(3, *size, generator=generator) for _ in range(2))
        yield Sample(images, {"mask": (torch.rand(size, generator=generator) > 0.5).long()}, f"s{index}")


def test_few_samples_are_buffered_if_all_sizes_differ():
    read, most = 0, 0

    def reading():
        nonlocal read
        for index, sample in enumerate(sized(200)):
            read += 1
            yield index, sample

    done = []
    for batch in _equal_sizes(reading(), batch_size=4):
        most = max(most, read - len(done))
        done += [index for index, _ in batch]
    assert sorted(done) == list(range(200)) and most <= 4 * 4


def test_scores_of_different_sizes_are_those_of_single_samples(tiny):
    model = tiny(neck=None, fusion="abs_diff", decoder=None)
    samples = list(sized(20))
    pooled, single = (evaluate(model, samples, WHOLE, batch_size=size).summary() for size in (4, 1))
    assert pooled == single and pooled.images == 20


def test_dicts_and_samples_give_the_same_scores(model):
    samples = list(sized(2))
    dicts = [{"image_a": s.images[0], "image_b": s.images[1], "mask": s.target["mask"], "name": s.name} for s in samples]
    assert evaluate(model, dicts, WHOLE).summary() == evaluate(model, samples, WHOLE).summary()
