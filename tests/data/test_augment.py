"""Augmentation: the same geometry for images and targets, determined by the seed."""

import random

import pytest
import torch

from cdzoo.data.augment import PairAugment
from cdzoo.data.folder import FolderPairs
from cdzoo.data.sample import Sample


@pytest.fixture
def sample(pair_folder):
    return FolderPairs(pair_folder(1, 48))[0]


@pytest.mark.parametrize("crop", [32, 48, 64, 200])
def test_geometry_is_the_same_for_images_and_mask(sample, crop):
    augment = PairAugment(crop)
    seen = set()
    for seed in range(20):
        drawn = augment(sample, random.Random(seed))
        (x1, x2), mask = drawn.images, drawn.target["mask"]
        assert x1.shape == (3, crop, crop) and mask.shape == (crop, crop)
        assert torch.equal((x1 != x2).any(0), mask.bool())
        assert x1.dtype == torch.uint8 and mask.dtype == torch.int64
        seen.add(x1.numpy().tobytes())
    assert len(seen) > (10 if crop == 32 else 5)


def test_all_eight_orientations_occur_and_one_when_disabled(sample):
    def views(augment):
        return {augment(sample, random.Random(seed)).images[0].numpy().tobytes() for seed in range(80)}

    assert len(views(PairAugment(48))) == 8
    assert len(views(PairAugment(48, rotate=False))) == 4
    assert views(PairAugment(48, flips=False, rotate=False)) == {sample.images[0].numpy().tobytes()}


def test_equal_seeds_give_equal_samples(sample):
    augment = PairAugment(32, scale=(0.8, 1.3), swap_dates=0.5)
    first, second, third = (augment(sample, random.Random(seed)) for seed in (5, 5, 6))
    assert torch.equal(first.images[1], second.images[1]) and not torch.equal(first.images[1], third.images[1])


def test_scaling_keeps_masks_binary_and_aligned(sample):
    augment = PairAugment(64, flips=False, rotate=False, scale=(2.0, 2.0))
    drawn = augment(sample, random.Random(0))
    assert drawn.target["mask"].dtype == torch.int64 and drawn.target["mask"].unique().tolist() in ([0], [0, 1], [1])
    assert drawn.images[1].dtype == torch.uint8
    bright = drawn.images[1].min(0).values > 200
    inside = drawn.target["mask"].bool()
    assert (bright == inside).float().mean() > 0.95


def test_dates_are_swapped(sample):
    augment = PairAugment(48, flips=False, rotate=False, swap_dates=1.0)
    drawn = augment(sample, random.Random(0))
    assert all(map(torch.equal, drawn.images, sample.images[::-1]))
    assert torch.equal(drawn.target["mask"], sample.target["mask"])


def test_any_number_of_dates_targets_and_bands():
    position = torch.arange(40 * 50).reshape(40, 50)
    images = tuple((position + date).float().expand(bands, 40, 50) for date, bands in enumerate((1, 4, 13)))
    sample = Sample(images, {"mask": position, "labels": (position % 7)[None].expand(2, -1, -1)}, "x")
    for seed in range(10):
        drawn = PairAugment(32, swap_dates=1.0)(sample, random.Random(seed))
        assert [image.shape for image in drawn.images] == [(1, 32, 32), (4, 32, 32), (13, 32, 32)] and drawn.name == "x"
        mask = drawn.target["mask"]
        assert all(torch.equal(image[-1], mask + date) for date, image in enumerate(drawn.images))  # shapes differ: not swapped
        assert torch.equal(drawn.target["labels"], (mask % 7).expand(2, -1, -1))


def test_ignored_pixels_stay_ignored_when_scaled():
    mask = torch.zeros(64, 64, dtype=torch.int64)
    mask[:32], mask[32:40] = 1, 255
    sample = Sample((torch.zeros(3, 64, 64, dtype=torch.uint8),) * 2, {"mask": mask}, "x")
    for seed in range(10):
        drawn = PairAugment(64, scale=(0.7, 1.5))(sample, random.Random(seed))
        assert set(drawn.target["mask"].unique().tolist()) <= {0, 1, 255}
