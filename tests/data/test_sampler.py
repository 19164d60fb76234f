"""The samples of a step are a function of the seed and the step."""

from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader

from cdzoo.data.augment import PairAugment
from cdzoo.data.folder import FolderPairs
from cdzoo.data.sampler import AugmentedSamples, StepSampler, mixed_seed
from cdzoo.errors import ConfigError


def steps(*args, **kwargs):
    return [list(batch) for batch in StepSampler(*args, **kwargs)]


def test_an_epoch_draws_every_sample_at_most_once():
    batches = steps(22, 5, 0, 0, 8)
    assert [len(b) for b in batches] == [5] * 8
    for epoch in (batches[:4], batches[4:]):
        assert max(Counter(draw.index for batch in epoch for draw in batch).values()) == 1
    assert [d.index for d in batches[0]] != [d.index for d in batches[4]]


@pytest.mark.parametrize("first", [1, 3, 4, 7])
def test_a_resumed_run_draws_the_same_batches(first):
    assert steps(22, 5, 7, first, 8) == steps(22, 5, 7, 0, 8)[first:]
    assert steps(22, 5, 8, first, 8) != steps(22, 5, 7, 0, 8)[first:]


def test_a_longer_run_begins_with_the_batches_of_a_shorter_one():
    assert steps(22, 5, 7, 0, 30)[:8] == steps(22, 5, 7, 0, 8)


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (1, 2), (2, 2), (4, 1)])
def test_processes_and_micro_batches_share_a_step(world, accumulate):
    whole = steps(20, 8, 3, 0, 5)
    ranks = [steps(20, 8, 3, 0, 5, rank=rank, world=world, accumulate=accumulate) for rank in range(world)]
    for step, batch in enumerate(whole):
        drawn = [draw for rank in ranks for micro in rank[step * accumulate : (step + 1) * accumulate] for draw in micro]
        assert sorted(drawn, key=str) == sorted(batch, key=str)


def test_a_small_data_set_gives_one_smaller_batch():
    assert [sorted(d.index for d in b) for b in steps(3, 16, 0, 0, 2)] == [[0, 1, 2]] * 2


def test_an_indivisible_batch_size_raises():
    with pytest.raises(ConfigError, match=r"batch_size 6 .*multiple of 4 process"):
        StepSampler(20, 6, 0, 0, 1, world=4)


def test_seeds_do_not_repeat():
    seeds = {mixed_seed(a, b, c) for a in range(20) for b in range(20) for c in range(20)}
    assert len(seeds) == 8000 and all(0 <= seed < 2**63 for seed in seeds)


def test_augmented_batches_do_not_depend_on_workers(pair_folder):
    samples = FolderPairs(pair_folder(6, 48))
    drawn = AugmentedSamples(samples, PairAugment(32, scale=(0.8, 1.2), swap_dates=0.5))
    alone, shared = (list(DataLoader(drawn, batch_sampler=StepSampler(6, 2, 1, 0, 5), num_workers=workers)) for workers in (0, 2))
    assert len(alone) == 5
    for batch, other in zip(alone, shared, strict=True):
        assert batch.name == other.name and all(map(torch.equal, batch.images, other.images))
        assert torch.equal(batch.target["mask"], other.target["mask"])


def test_dicts_are_augmented_as_samples_are(pair_folder):
    samples = FolderPairs(pair_folder(2, 48))
    dicts = [{"image_a": s.images[0], "image_b": s.images[1], "mask": s.target["mask"]} for s in (samples[0], samples[1])]
    (draw, _), *_ = StepSampler(2, 2, 0, 0, 1)
    old, new = (AugmentedSamples(data, PairAugment(32))[draw] for data in (dicts, samples))
    assert all(map(torch.equal, old.images, new.images)) and torch.equal(old.target["mask"], new.target["mask"])
