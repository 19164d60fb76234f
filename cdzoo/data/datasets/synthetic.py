"""Synthetic scenes of 128x128 pixels, see `cdzoo.data.SyntheticScenes`."""

from __future__ import annotations

import functools

from torch.utils.data import Dataset

from cdzoo.data.datasets.info import DatasetInfo
from cdzoo.data.sample import Sample
from cdzoo.data.synthetic import SyntheticScenes
from cdzoo.errors import InputError
from cdzoo.protocol import Protocol

SPLITS = {"train": (512, 1000), "val": (128, 1001), "test": (256, 1002)}
"""Number of pairs and seed of each split."""
SIZE = 128


class CachedDataset(Dataset[Sample]):
    """Synthetic scenes that are generated once and kept in memory.

    Args:
        scenes: The scenes.
        prefix: Prefix of the names of the samples.
    """

    def __init__(self, scenes: SyntheticScenes, prefix: str) -> None:
        self.scenes = scenes
        self.names = [f"{prefix}_{index:05d}" for index in range(len(scenes))]
        self._cache: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:
        """Return one sample, generated on first use."""
        if index not in self._cache:
            self._cache[index] = self.scenes[index]._replace(name=self.names[index])
        return self._cache[index]

    def has_change(self) -> bool:
        """Return whether there is change."""
        return True


@functools.lru_cache(maxsize=4)
def generate(split: str, num_train: str = "", plain: bool = False) -> CachedDataset:
    """Return a split, shared by all runs of the process.

    Args:
        split: `"train"`, `"val"` or `"test"`.
        num_train: Number of training pairs as text; 512 by default. A larger number extends the same pairs.
        plain: Without changes of light, season and position.

    Raises:
        InputError: `num_train` is not a positive integer.
    """
    count, seed = SPLITS[split]
    if num_train and (not num_train.isdecimal() or int(num_train) < 1):
        raise InputError(f"'{num_train}' is not a number of training pairs; expected, for example, synthetic:{count}")
    if num_train and split == "train":
        count = int(num_train)
    scenes = SyntheticScenes(count, SIZE, seed=seed, pseudo_changes=not plain)
    return CachedDataset(scenes, f"plain_{split}" if plain else split)


DATASET = DatasetInfo(
    name="synthetic",
    title="Synthetic scenes",
    description="Aerial scenes generated from a seed: buildings that appear, disappear and grow",
    resolution="0.5",
    splits={split: count for split, (count, _) in SPLITS.items()},
    image_size=SIZE,
    paper="cdzoo.data.SyntheticScenes",
    homepage="",
    files="nothing: the scenes are generated; synthetic:N for N training pairs",
    citation="",
    license="Apache-2.0",
    layout="none",
    protocols=(Protocol("synthetic_128", "synthetic"),),
    generate=generate,
)
