"""Batches as a function of seed and step, so that a training run can resume at any step."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.utils.data import Dataset, Sampler

from cdzoo.data.augment import PairAugment
from cdzoo.data.sample import Sample, as_sample
from cdzoo.errors import ConfigError


class Samples(Protocol):
    """A sequence of samples, such as a torch data set or a list. Items are converted by `as_sample`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


@dataclass(frozen=True)
class Draw:
    """One sample of one step.

    Attributes:
        index: Index of the sample.
        seed: Seed of its augmentation.
    """

    index: int
    seed: int


@dataclass(eq=False)
class StepSampler(Sampler[list[Draw]]):
    """Micro-batches of one process, from a given step to the end of the run.

    Every epoch is a permutation of the samples. Its last batch is dropped if it is incomplete, because batch normalization is
    unstable with few samples. If there are fewer samples than `batch_size`, all of them are one batch.

    Args:
        count: Number of samples.
        batch_size: Samples per optimizer step, over all processes and micro-batches.
        seed: Seed of the run.
        first_step: First step to draw.
        last_step: Number of steps of the whole run.
        rank: Rank of this process.
        world: Number of processes.
        accumulate: Micro-batches per step.

    Raises:
        ConfigError: The batch size is not a multiple of `world * accumulate`.
    """

    count: int
    batch_size: int
    seed: int
    first_step: int
    last_step: int
    rank: int = 0
    world: int = 1
    accumulate: int = 1

    def __post_init__(self) -> None:
        """Limit the batch size to the number of samples and validate it."""
        self.batch_size = min(self.batch_size, self.count)
        if self.batch_size % (self.world * self.accumulate):
            raise ConfigError(
                f"batch_size {self.batch_size} ({self.count} samples) counts the pairs of a whole step and must be a multiple "
                f"of {self.world} process(es) times accumulate={self.accumulate}"
            )
        self.steps_per_epoch = self.count // self.batch_size

    def __len__(self) -> int:
        return (self.last_step - self.first_step) * self.accumulate

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch, order = -1, torch.empty(0)
        share = self.batch_size // (self.world * self.accumulate)
        for step in range(self.first_step, self.last_step):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                order = torch.randperm(self.count, generator=torch.Generator().manual_seed(mixed_seed(self.seed, epoch, 1)))
            start = step % self.steps_per_epoch * self.batch_size
            for micro_batch in range(self.accumulate):
                # Interleaved by rank, so that world=1 with more micro-batches draws the same samples in a step.
                offset = start + (micro_batch * self.world + self.rank) * share
                yield [Draw(int(order[offset + i]), mixed_seed(self.seed, step, 2, offset + i - start)) for i in range(share)]


class AugmentedSamples(Dataset[Sample]):
    """Augmented samples, indexed by `Draw`.

    Args:
        samples: Samples to augment. Of windows of scenes (`SceneSamples`), crops are taken from more than the window.
        augment: Augmentation, a function of the sample and the seed of the draw.
    """

    def __init__(self, samples: Samples, augment: PairAugment) -> None:
        self.samples = samples
        self.augment = augment

    def __getitem__(self, draw: Draw) -> Sample:
        """Return the augmented sample."""
        read = getattr(self.samples, "surroundings", self.samples.__getitem__)
        return self.augment(as_sample(read(draw.index)), random.Random(draw.seed))


def mixed_seed(*numbers: int) -> int:
    """Hash integers into one 63-bit seed with the mixing function of splitmix64."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1
