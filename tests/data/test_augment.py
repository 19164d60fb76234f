"""Augmentation treats both dates and the mask alike, and follows its seed."""

import random

import pytest
import torch

from cdzoo.data.augment import PairAugment
from cdzoo.data.folder import FolderPairs
from cdzoo.engine.batch_augment import BatchAugment


@pytest.fixture
def sample(pair_folder):
    return FolderPairs(pair_folder(1, 48))[0]


@pytest.mark.parametrize("crop", [32, 48, 64, 200])
def test_geometry_is_the_same_for_all_three(sample, crop):
    augment = PairAugment(crop)
    seen = set()
    for seed in range(20):
        drawn = augment(sample, random.Random(seed))
        assert drawn.images[0].shape == (3, crop, crop) and drawn.target["mask"].shape == (crop, crop)
        assert torch.equal((drawn.images[0] != drawn.images[1]).any(0), drawn.target["mask"].bool())
        assert drawn.images[0].dtype == torch.uint8 and drawn.target["mask"].dtype == torch.int64
        seen.add(drawn.images[0].numpy().tobytes())
    assert len(seen) > (10 if crop == 32 else 5)


def test_all_eight_orientations_occur_and_none_when_off(sample):
    def views(augment):
        return {augment(sample, random.Random(seed)).images[0].numpy().tobytes() for seed in range(80)}

    assert len(views(PairAugment(48))) == 8
    assert len(views(PairAugment(48, rotate=False))) == 4
    assert views(PairAugment(48, flips=False, rotate=False)) == {sample.images[0].numpy().tobytes()}


def test_the_same_seed_draws_the_same(sample):
    augment = PairAugment(32, scale=(0.8, 1.3), swap_dates=0.5)
    first, second, third = (augment(sample, random.Random(seed)) for seed in (5, 5, 6))
    assert torch.equal(first.images[1], second.images[1]) and not torch.equal(first.images[1], third.images[1])


def test_scaling_keeps_masks_binary_and_in_place(sample):
    augment = PairAugment(64, flips=False, rotate=False, scale=(2.0, 2.0))
    drawn = augment(sample, random.Random(0))
    assert drawn.target["mask"].unique().tolist() in ([0], [0, 1], [1])
    bright = drawn.images[1].min(0).values > 200
    inside = drawn.target["mask"].bool()
    assert (bright == inside).float().mean() > 0.95


def test_dates_are_exchanged_when_asked(sample):
    augment = PairAugment(48, flips=False, rotate=False, swap_dates=1.0)
    drawn = augment(sample, random.Random(0))
    assert torch.equal(drawn.images[0], sample.images[1]) and torch.equal(drawn.images[1], sample.images[0])
    assert torch.equal(drawn.target["mask"], sample.target["mask"])


def augmented(augment, images, mask, rng):
    images, target = augment(images, {"mask": mask}, rng)
    return images, target["mask"]


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_light_changes_images_but_not_masks():
    a, b, mask = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16), torch.randint(0, 2, (4, 16, 16))
    (a2, b2), mask2 = augmented(BatchAugment(jitter=0.3, blur=0.5), (a, b), mask, generator(0))
    assert torch.equal(mask, mask2) and not torch.equal(a, a2)
    assert 0 <= a2.min() and a2.max() <= 1
    ratio_a, ratio_b = (a2 / a).flatten(1).median(1).values, (b2 / b).flatten(1).median(1).values
    assert (ratio_a - ratio_b).abs().max() > 0.01  # drawn for each date
    again, _ = augmented(BatchAugment(jitter=0.3, blur=0.5), (a, b), mask, generator(0))
    assert torch.equal(a2, again[0])
    unchanged, same_mask = augmented(BatchAugment(), (a, b), mask, generator(0))
    assert torch.equal(unchanged[0], a) and torch.equal(unchanged[1], b) and torch.equal(same_mask, mask)


def test_cutmix_pastes_both_dates_and_the_mask_together():
    count = 6
    tag = torch.arange(count).float()[:, None, None, None] / 10
    a, b = tag.expand(count, 3, 32, 32).clone(), tag.expand(count, 3, 32, 32) + 0.05
    mask = torch.arange(count)[:, None, None].expand(count, 32, 32).clone()
    (a2, b2), mask2 = augmented(BatchAugment(cutmix=1.0), (a, b), mask, generator(3))
    assert not torch.equal(mask, mask2)
    torch.testing.assert_close(a2[:, 0], mask2 / 10)
    torch.testing.assert_close(b2[:, 0], mask2 / 10 + 0.05)
    share = (mask2 != mask).float().mean((1, 2))
    assert share.max() < 0.5
