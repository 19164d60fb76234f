"""Splits of generated data sets, made on first access."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from torch.utils.data import Dataset

from cdzoo.data.datasets import DATASETS
from cdzoo.data.overlap import name_hash
from cdzoo.data.sample import Sample, as_sample
from cdzoo.data.sampler import Samples
from cdzoo.errors import InputError


class CachedDataset(Dataset[Sample]):
    """Samples that are generated on first access and kept in memory.

    Args:
        samples: Samples to cache, at least one of which has change.
        names: New names of the samples.
    """

    def __init__(self, samples: Samples, names: Sequence[str]) -> None:
        self.samples = samples
        self.names = list(names)
        self._cache: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Return one sample."""
        if index not in self._cache:
            self._cache[index] = as_sample(self.samples[index])._replace(name=self.names[index])
        return self._cache[index]

    def hashes(self) -> list[str]:
        """Return a hash of each sample, see `cdzoo.data.overlap`."""
        return list(map(name_hash, self.names))

    def has_change(self) -> bool:
        """Return True without generating samples; synthetic splits contain change."""
        return True


@functools.lru_cache(maxsize=4)
def generated(data: str, split: str) -> CachedDataset:
    """Return a generated split, shared by all runs of this process.

    Args:
        data: Name of a generated data set, with the number of training pairs if it is not the usual one: `synthetic:500`.
        split: `"train"`, `"val"` or `"test"`.

    Raises:
        InputError: The number is not one.
    """
    name, _, num_train = data.partition(":")
    info = DATASETS[name]
    assert info.generate is not None
    if num_train and (not num_train.isdecimal() or int(num_train) < 1):
        raise InputError(f"{data}: expected a number of training pairs, such as {name}:{info.splits['train']}")
    return CachedDataset(*info.generate(split, int(num_train) if num_train else None))
