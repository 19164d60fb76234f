"""Augmentation treats both dates and the mask alike, and follows its seed."""

import random

import pytest
import torch

from cdzoo.data.augment import PairAugment
from cdzoo.data.folder import FolderPairs


@pytest.fixture
def sample(pair_folder):
    return FolderPairs(pair_folder(1, 48))[0]


@pytest.mark.parametrize("crop", [32, 48, 64, 200])
def test_geometry_is_the_same_for_all_three(sample, crop):
    augment = PairAugment(crop)
    seen = set()
    for seed in range(20):
        drawn = augment(sample, random.Random(seed))
        assert drawn["image_a"].shape == (3, crop, crop) and drawn["mask"].shape == (crop, crop)
        assert torch.equal((drawn["image_a"] != drawn["image_b"]).any(0), drawn["mask"].bool())
        assert drawn["image_a"].dtype == torch.uint8 and drawn["mask"].dtype == torch.int64
        seen.add(drawn["image_a"].numpy().tobytes())
    assert len(seen) > (10 if crop == 32 else 5)


def test_all_eight_orientations_occur_and_none_when_off(sample):
    def views(augment):
        return {augment(sample, random.Random(seed))["image_a"].numpy().tobytes() for seed in range(80)}

    assert len(views(PairAugment(48))) == 8
    assert len(views(PairAugment(48, rotate=False))) == 4
    assert views(PairAugment(48, flips=False, rotate=False)) == {sample["image_a"].numpy().tobytes()}


def test_the_same_seed_draws_the_same(sample):
    augment = PairAugment(32, scale=(0.8, 1.3), swap_dates=0.5)
    first, second, third = (augment(sample, random.Random(seed)) for seed in (5, 5, 6))
    assert torch.equal(first["image_b"], second["image_b"]) and not torch.equal(first["image_b"], third["image_b"])


def test_scaling_keeps_masks_binary_and_in_place(sample):
    augment = PairAugment(64, flips=False, rotate=False, scale=(2.0, 2.0))
    drawn = augment(sample, random.Random(0))
    assert drawn["mask"].unique().tolist() in ([0], [0, 1], [1])
    bright = drawn["image_b"].min(0).values > 200
    inside = drawn["mask"].bool()
    assert (bright == inside).float().mean() > 0.95


def test_dates_are_exchanged_when_asked(sample):
    augment = PairAugment(48, flips=False, rotate=False, swap_dates=1.0)
    drawn = augment(sample, random.Random(0))
    assert torch.equal(drawn["image_a"], sample["image_b"]) and torch.equal(drawn["image_b"], sample["image_a"])
    assert torch.equal(drawn["mask"], sample["mask"])
