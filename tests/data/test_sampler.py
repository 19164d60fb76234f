"""Which samples a step sees is a function of the seed and the step."""

from collections import Counter

import pytest

from cdzoo.data.sampler import StepSampler, mixed_seed
from cdzoo.errors import ConfigError


def steps(*args, **kwargs):
    return [list(batch) for batch in StepSampler(*args, **kwargs)]


def test_an_epoch_sees_every_sample_at_most_once():
    batches = steps(22, 5, 0, 0, 8)
    assert [len(b) for b in batches] == [5] * 8
    for epoch in (batches[:4], batches[4:]):
        assert max(Counter(draw.index for batch in epoch for draw in batch).values()) == 1
    assert [d.index for d in batches[0]] != [d.index for d in batches[4]]


@pytest.mark.parametrize("first", [1, 3, 4, 7])
def test_a_run_that_begins_later_draws_what_the_whole_one_does(first):
    assert steps(22, 5, 7, first, 8) == steps(22, 5, 7, 0, 8)[first:]
    assert steps(22, 5, 8, first, 8) != steps(22, 5, 7, 0, 8)[first:]


def test_a_longer_run_begins_like_a_shorter_one():
    assert steps(22, 5, 7, 0, 30)[:8] == steps(22, 5, 7, 0, 8)


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (1, 2), (2, 2), (4, 1)])
def test_processes_and_micro_batches_share_a_step(world, accumulate):
    whole = steps(20, 8, 3, 0, 5)
    ranks = [steps(20, 8, 3, 0, 5, rank=rank, world=world, accumulate=accumulate) for rank in range(world)]
    for step, batch in enumerate(whole):
        mine = [draw for rank in ranks for part in rank[step * accumulate : (step + 1) * accumulate] for draw in part]
        assert sorted(mine, key=str) == sorted(batch, key=str)


def test_a_small_set_makes_one_smaller_batch():
    assert [sorted(d.index for d in b) for b in steps(3, 16, 0, 0, 2)] == [[0, 1, 2]] * 2


def test_a_step_that_cannot_be_shared_is_refused():
    with pytest.raises(ConfigError, match=r"batch_size 6 .*multiple of 4 process"):
        StepSampler(20, 6, 0, 0, 1, world=4)


def test_seeds_do_not_repeat():
    seeds = {mixed_seed(a, b, c) for a in range(20) for b in range(20) for c in range(20)}
    assert len(seeds) == 8000 and all(0 <= seed < 2**63 for seed in seeds)
