"""Synthetic aerial scenes with pseudo-changes of light, season and position. They are generated, not read from files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cdzoo.data.info import DatasetInfo
from cdzoo.protocol import Protocol

if TYPE_CHECKING:
    from cdzoo.data.sampler import Samples

SIZE = 128
SPLITS = {"train": 512, "val": 128, "test": 256}
TASK_SPLITS = {"train": 512, "val": 64, "test": 200}
"""Of the variants with targets of other tasks."""
_SEEDS = {"train": 1000, "val": 1001, "test": 1002}


def generate(
    split: str,
    num_train: int | None = None,
    prefix: str = "",
    size: int = SIZE,
    splits: Mapping[str, int] = SPLITS,
    **options: Any,
) -> tuple[Samples, list[str]]:
    """Return the scenes of a split and their names.

    Args:
        split: `"train"`, `"val"` or `"test"`.
        num_train: Number of training scenes, that of `splits` by default; a larger set begins with the scenes of a smaller one.
        prefix: Prefix of the names.
        size: Side of the scenes in pixels.
        splits: Number of scenes of each split.
        **options: Further arguments of `SyntheticScenes`.
    """
    from cdzoo.data.synthetic import SyntheticScenes

    count = num_train if num_train is not None and split == "train" else splits[split]
    scenes = SyntheticScenes(count, size, seed=_SEEDS[split], **options)
    return scenes, [f"{prefix}{split}_{index:05d}" for index in range(count)]


DATASET = DatasetInfo(
    name="synthetic",
    title="Synthetic scenes",
    description="Synthetic buildings that appear, disappear or grow; synthetic:N generates N training pairs",
    resolution="0.5",
    splits=SPLITS,
    image_size=SIZE,
    protocols=(Protocol("synthetic_128", "synthetic"),),
    license="Apache-2.0",
    files="nothing to download: the scenes are generated",
    layout="no files",
    generate=generate,
)
