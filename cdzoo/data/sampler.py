"""Which samples a training step sees: a function of seed and step, so that a run can begin at any step."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.utils.data import Dataset, Sampler

from cdzoo.data.augment import PairAugment
from cdzoo.errors import ConfigError


class Samples(Protocol):
    """What can be trained on: anything with a length and items, a torch data set or a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Draw:
    """One sample of one step.

    Attributes:
        index: Which sample.
        seed: Of its augmentation.
    """

    index: int
    seed: int


class StepSampler(Sampler[list[Draw]]):
    """The micro-batches of one process, from one step to the end of the run.

    Every epoch is a permutation of the samples; its last incomplete batch is left out, as a batch of a few pairs unsettles
    batch norms. A set smaller than a batch makes one smaller batch.

    Args:
        count: Number of samples.
        batch_size: Pairs per optimizer step, over all processes and micro-batches.
        seed: Seed of the run.
        first_step: Steps that are done already.
        last_step: Steps of the whole run.
        rank: Number of this process.
        world: Number of processes.
        accumulate: Micro-batches per step.

    Raises:
        ConfigError: A step cannot be shared equally between the processes and micro-batches.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        first_step: int,
        last_step: int,
        rank: int = 0,
        world: int = 1,
        accumulate: int = 1,
    ) -> None:
        self.batch_size = min(batch_size, count)
        if self.batch_size % (world * accumulate):
            raise ConfigError(
                f"batch_size {self.batch_size} ({count} samples) is the number of pairs of a whole step and must be a multiple "
                f"of {world} process(es) times accumulate={accumulate}"
            )
        self.count, self.seed = count, seed
        self.first_step, self.last_step = first_step, last_step
        self.rank, self.world, self.accumulate = rank, world, accumulate
        self.steps_per_epoch = count // self.batch_size

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
            for part in range(self.accumulate):
                # Micro-batches of all processes lie side by side, so that one process with more of them sees the same pairs.
                offset = start + (part * self.world + self.rank) * share
                yield [Draw(int(order[offset + i]), mixed_seed(self.seed, step, 2, offset + i - start)) for i in range(share)]


class Drawn(Dataset[dict[str, Any]]):
    """Samples that are augmented as their draw says."""

    def __init__(self, samples: Samples, augment: PairAugment) -> None:
        self.samples = samples
        self.augment = augment

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        """Return the augmented sample."""
        return self.augment(self.samples[draw.index], random.Random(draw.seed))


def mixed_seed(*numbers: int) -> int:
    """Mix whole numbers into one seed of 63 bits; near numbers give unrelated seeds (the steps of splitmix64)."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1
