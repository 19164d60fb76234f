"""`--data`: a folder, the name of a data set, or scenes made on the spot; opened under a protocol."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from cdzoo.data.datasets import DATASETS, DatasetInfo
from cdzoo.data.datasets.info import RANDOM
from cdzoo.data.folder import FilePairs, usable_pairs
from cdzoo.data.layout import PairFiles, find_splits, list_split
from cdzoo.data.masks import MaskEncoding
from cdzoo.data.synthetic import SyntheticScenes
from cdzoo.data.tiles import TiledPairs
from cdzoo.errors import InputError
from cdzoo.protocol import Protocol, get_protocol

SYNTHETIC = "synthetic"
SYNTHETIC_PLAIN = "synthetic_plain"
"""The same scenes without changes of light, season and position: easier, for short runs."""
SYNTHETIC_SPLITS = {"train": (512, 0), "val": (128, 1), "test": (256, 2)}
"""Number of pairs and seed of each split of the synthetic data set."""
SYNTHETIC_SIZE = 128

ROOT_VARIABLE = "CDZOO_DATA"


@dataclass(frozen=True)
class DataCfg:
    """Which data, read how.

    Attributes:
        data: Folder, name of a data set, or `synthetic` (`synthetic:6000` for as many training pairs), or `synthetic_plain`.
        protocol: Name; the default one of the data set otherwise.
        exclude: fnmatch wildcards of names to leave out.
        val: Another folder for the validation pairs.
        value_range: Values that become 0 and 1, for images of more than 8 bits.
        mask_encoding: `0/1`, `0/255` or `threshold`; recognised otherwise.
    """

    data: str
    protocol: str | None = None
    exclude: Sequence[str] = ()
    val: str | None = None
    value_range: tuple[float, float] | None = None
    mask_encoding: MaskEncoding | None = None


@dataclass
class Opened:
    """Splits of a data set.

    Attributes:
        protocol: Under which they were opened.
        splits: Samples by split.
        notes: What a person should know of how they came about, a line each.
    """

    protocol: Protocol
    splits: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> dict[str, list[str]]:
        """Names of the samples of each split, of which the protocol keeps a hash."""
        return {split: list(samples.names) for split, samples in self.splits.items()}


def open_data(cfg: DataCfg, splits: Sequence[str], bands: tuple[int, ...] = (3, 3)) -> Opened:
    """Open splits of a data set.

    Without an official validation split, one is carved from the training split (see `carve`), which then lacks it.
    A folder that is not split at all is treated as a training split; asked for its test split, all of it is given.
    The test split is opened only when it is asked for.

    Args:
        cfg: Which data.
        splits: Any of `"train"`, `"val"`, `"test"`.
        bands: Bands of the first and of the second date.

    Raises:
        InputError: The data are not there, cannot be used, show no change in the training split, or splits share files.
        ConfigError: The protocol does not exist or is not for these data.
    """
    kind, _, lessons = cfg.data.partition(":")
    if kind in (SYNTHETIC, SYNTHETIC_PLAIN) and not Path(cfg.data).exists():
        protocol = get_protocol(cfg.protocol, SYNTHETIC)
        made = {split: _made(kind, split, lessons) for split in splits}
        return Opened(protocol, made, ["scenes made on the spot"])
    source = _Files(cfg, bands)
    opened = Opened(source.protocol, {}, source.notes)
    pairs: dict[str, list[PairFiles]] = source.pairs(splits)
    if cfg.val is not None and Path(cfg.val).resolve() == source.root.resolve():
        opened.notes.append("the validation pairs are the training pairs: scores show that the model learns, nothing more")
    else:
        _refuse_duplicates(pairs)
    for split, files in pairs.items():
        samples = FilePairs(files, bands, cfg.value_range, cfg.mask_encoding)
        opened.splits[split] = TiledPairs(samples, source.protocol.tile) if source.protocol.tile else samples
        opened.notes.append(f"{split}: {len(opened.splits[split])} pairs, masks {samples.encoding.value}")
        official = source.info.splits.get(split) if source.info else None
        if official is not None and official != len(files) and split == "test":
            opened.notes.append(f"not the official test split, which has {official} pairs: this one has {len(files)}")
    if "train" in opened.splits and not opened.splits["train"].has_change():
        raise InputError(
            f"{cfg.data}: no mask of the {len(pairs['train'])} training pairs shows any change, so there is nothing to learn; "
            f"look at them with: cdzoo data check {cfg.data}"
        )
    return opened


class Remembered(Dataset[dict[str, Any]]):
    """Samples that are made once and kept in memory."""

    def __init__(self, samples: SyntheticScenes, label: str) -> None:
        self.samples = samples
        self.names = [f"{label}_{index:05d}" for index in range(len(samples))]
        self._made: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample, made at its first use."""
        if index not in self._made:
            self._made[index] = {**self.samples[index], "name": self.names[index]}
        return self._made[index]

    def has_change(self) -> bool:
        """Tell that there is change."""
        return True


class _Files:
    """Where the files of each split are."""

    def __init__(self, cfg: DataCfg, bands: tuple[int, ...]) -> None:
        self.cfg, self.bands = cfg, bands
        self.notes: list[str] = []
        self.info = _named(cfg.data)
        self.root = Path(cfg.data) if self.info is None else data_root(cfg.data)
        self.protocol = get_protocol(cfg.protocol, self.info.name if self.info else "")

    def pairs(self, splits: Sequence[str]) -> dict[str, list[PairFiles]]:
        if self.cfg.val is not None and "val" in splits:
            own = usable_pairs(list_split(self.cfg.val, None, self.cfg.exclude))
            rest = self.pairs_of([split for split in splits if split != "val"])
            return {split: own if split == "val" else rest[split] for split in splits}
        return self.pairs_of(splits)

    def pairs_of(self, splits: Sequence[str]) -> dict[str, list[PairFiles]]:
        there = set(find_splits(self.root))
        if self.info is not None:
            there |= set(RANDOM) if self.info.split_at_random else set(self.info.splits)
        learning = [split for split in splits if split != "test"]
        found: dict[str, list[PairFiles]] = {}
        if learning and "val" not in there and (not there or "train" in there):
            whole = self.read("train" if there else None)
            found = {"train": whole} if self.cfg.val is not None else self._carved(whole, learning)
        for split in splits:
            if split not in found:
                if not there:
                    self.notes.append(f"{self.root} is not split: all of its pairs are taken")
                found[split] = self.read(split if there else None)
        return {split: found[split] for split in splits}

    def read(self, split: str | None) -> list[PairFiles]:
        if self.info is None or split is None:
            return usable_pairs(list_split(self.root, split, self.cfg.exclude))
        listed = self.info.pairs(self.root, split)
        return [pair for pair in listed if not any(fnmatch(pair.name, pattern) for pattern in self.cfg.exclude)]

    def _carved(self, pairs: list[PairFiles], splits: Sequence[str]) -> dict[str, list[PairFiles]]:
        from cdzoo.data.splits import carve

        chosen = carve([pair.name for pair in pairs], self.protocol.carved)
        self.notes.append(
            f"there is no validation split: {len(chosen)} of {len(pairs)} training pairs are set aside, always the same ones"
        )
        both = {
            "train": [pair for pair in pairs if pair.name not in chosen],
            "val": [pair for pair in pairs if pair.name in chosen],
        }
        return {split: both[split] for split in splits}


def split_files(cfg: DataCfg, split: str, root: Path | None = None) -> list[PairFiles]:
    """Return the files of one split as they are on disk, without carving; `root` replaces the data set's own folder.

    Raises:
        InputError: The split is not there or cannot be used.
    """
    source = _Files(cfg, (3, 3))
    source.root = root or source.root
    return source.read(split)


def data_root(name: str) -> Path:
    """Return the folder of a named data set: `$CDZOO_DATA/NAME`, else `data/NAME`."""
    return Path(os.environ.get(ROOT_VARIABLE, "data")) / name


def _named(data: str) -> DatasetInfo | None:
    return DATASETS.get(data) if not Path(data).is_dir() else None


@functools.lru_cache(maxsize=4)
def _made(kind: str, split: str, lessons: str) -> Remembered:
    """Return a split that further runs of this process share."""
    return Remembered(_scenes(kind, split, lessons), split if kind == SYNTHETIC else f"plain_{split}")


def _scenes(kind: str, split: str, lessons: str) -> SyntheticScenes:
    """Make a split; `lessons` is another number of training pairs, as text. More of them begin with the same ones."""
    count, seed = SYNTHETIC_SPLITS[split]
    if lessons and (not lessons.isdecimal() or int(lessons) < 1):
        raise InputError(f"{kind}:{lessons}: expected a number of training pairs, such as {kind}:{count}")
    if lessons and split == "train":
        count = int(lessons)
    return SyntheticScenes(count, SYNTHETIC_SIZE, seed=1000 + seed, pseudo_changes=kind == SYNTHETIC)


def _refuse_duplicates(splits: dict[str, list[PairFiles]]) -> None:
    """Raise when two splits hold the same pair of pictures; only files of equal sizes are read."""
    by_size: dict[tuple[int, int], list[tuple[str, PairFiles]]] = {}
    for split, pairs in splits.items():
        for pair in pairs:
            size = pair.image_a.stat().st_size, pair.image_b.stat().st_size
            by_size.setdefault(size, []).append((split, pair))
    for alike in by_size.values():
        if len({split for split, _ in alike}) < 2:
            continue
        seen: dict[bytes, tuple[str, PairFiles]] = {}
        for split, pair in alike:
            digest = hashlib.sha256(pair.image_a.read_bytes() + pair.image_b.read_bytes()).digest()
            other_split, other = seen.setdefault(digest, (split, pair))
            if other_split != split:
                raise InputError(
                    f"{pair.image_b} ({split}) is the same picture as {other.image_b} ({other_split}), and so is its first date; "
                    f"scores on pairs that were trained on mean nothing. See cdzoo data check; leave it out with --exclude"
                )
