"""`open_data`: splits of a folder or a named data set, tiled according to a protocol."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch.utils.data import Dataset

from cdzoo.data.datasets import DATASETS, DatasetInfo, known_layouts
from cdzoo.data.folder import FilePairs
from cdzoo.data.layout import PairFiles, find_splits, list_split, matches, usable_pairs
from cdzoo.data.masks import MaskEncoding
from cdzoo.data.protocols import get_protocol
from cdzoo.data.sample import Sample, as_sample
from cdzoo.data.sampler import Samples
from cdzoo.data.splits import holdout_split
from cdzoo.data.tiles import TiledPairs
from cdzoo.errors import ConfigError, InputError
from cdzoo.protocol import Protocol
from cdzoo.validation import config_dataclass

ROOT_VARIABLE = "CDZOO_DATA"


@config_dataclass
class DataCfg:
    """Data set and reading options.

    Attributes:
        data: Folder of pairs, or name of a data set (cdzoo data list); synthetic:N generates N training pairs.
        protocol: Name of the protocol (cdzoo data list); the default protocol of the data set by default.
        exclude: Wildcards of sample names to leave out.
        val: Folder of validation pairs, instead of the validation split.
        value_range: (min, max) mapped to [0, 1]; required for images of more than 8 bits.
        mask_encoding: Encoding of the masks: 0/1, 0/255 or threshold; detected by default.
    """

    data: str
    protocol: str | None = None
    exclude: tuple[str, ...] = ()
    val: str | None = None
    value_range: tuple[float, float] | None = None
    mask_encoding: Literal["0/1", "0/255", "threshold"] | None = None

    def __post_init__(self) -> None:
        """Validate the value range."""
        if self.value_range is not None and self.value_range[0] >= self.value_range[1]:
            raise ConfigError(f"value_range must be (min, max) with min < max, got {self.value_range}")


@dataclass
class Opened:
    """Splits of a data set.

    Attributes:
        protocol: Protocol of the data.
        splits: Samples of each split, with `names` and `has_change()`.
        notes: Messages about the origin of the splits, one line each.
    """

    protocol: Protocol
    splits: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> dict[str, list[str]]:
        """Names of the samples of each split; their hash is stored with scores."""
        return {split: list(samples.names) for split, samples in self.splits.items()}


def open_data(cfg: DataCfg, splits: Sequence[str], bands: tuple[int, ...] = (3, 3)) -> Opened:
    """Open splits of a data set.

    If there is no validation split, it is taken from the training split (see `holdout_split`). A folder without splits is a
    training split; its test split is the whole folder. Splits that are not requested are not read.

    Args:
        cfg: Data set and reading options.
        splits: Any of `"train"`, `"val"`, `"test"`.
        bands: Number of bands of each date.

    Raises:
        InputError: The data do not exist or cannot be used, the training split has no change, or splits share images.
        ConfigError: The protocol does not exist or belongs to another data set.
    """
    info = _named(cfg.data)
    if info is not None and info.generate is not None:
        generated = {split: _generated(cfg.data, split) for split in splits}
        return Opened(get_protocol(cfg.protocol, info.name), generated, ["synthetic scenes"])
    source = _Files(cfg, info)
    opened = Opened(source.protocol, {}, source.notes)
    pairs = source.pairs(splits)
    if cfg.val is not None and Path(cfg.val).resolve() == source.root.resolve():
        opened.notes.append("the validation pairs are the training pairs: scores do not measure generalization")
    else:
        _check_disjoint(pairs)
    for split, files in pairs.items():
        samples = FilePairs(files, bands, cfg.value_range, MaskEncoding(cfg.mask_encoding) if cfg.mask_encoding else None)
        opened.splits[split] = TiledPairs(samples, source.protocol.tile) if source.protocol.tile else samples
        opened.notes.append(f"{split}: {len(opened.splits[split])} pairs, masks {samples.encoding.value}")
        official = info.splits.get(split) if info else None
        if official is not None and official != len(files) and split == "test":
            opened.notes.append(f"not the official test split, which has {official} pairs: this one has {len(files)}")
    if "train" in opened.splits and not opened.splits["train"].has_change():
        raise InputError(
            f"{cfg.data}: no mask of the {len(pairs['train'])} training pairs has changed pixels, so there is "
            f"nothing to learn; look at the data with: cdzoo data check {cfg.data}"
        )
    return opened


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

    def has_change(self) -> bool:
        """Return True without generating samples; synthetic splits contain change."""
        return True


class _Files:
    """Files of each split of a folder or a named data set."""

    def __init__(self, cfg: DataCfg, info: DatasetInfo | None) -> None:
        self.cfg, self.info = cfg, info
        self.notes: list[str] = []
        self.root = Path(cfg.data) if info is None else data_root(info.name)
        self.protocol = get_protocol(cfg.protocol, info.name if info else "")

    def pairs(self, splits: Sequence[str]) -> dict[str, list[PairFiles]]:
        """Return the files of each split, with validation pairs from `val` or held out from the training split if needed."""
        found: dict[str, list[PairFiles]] = {}
        if self.cfg.val is not None and "val" in splits:
            found["val"] = usable_pairs(list_split(self.cfg.val, None, self.cfg.exclude, known_layouts()))
        existing = set(find_splits(self.root, known_layouts())) | (self.info.split_names if self.info else set())
        wanted = {split for split in splits if split != "test" and split not in found}
        if wanted and "val" not in existing and (not existing or "train" in existing):
            whole = self.read("train" if existing else None)
            found |= self._held_out(whole) if self.cfg.val is None else {"train": whole}
        for split in splits:
            if split not in found:
                if not existing:
                    self.notes.append(f"{self.root} has no splits: all of its pairs are used")
                found[split] = self.read(split if existing else None)
        return {split: found[split] for split in splits}

    def read(self, split: str | None) -> list[PairFiles]:
        """Return the files of a split on disk; None for a folder without splits."""
        if self.info is None or split is None:
            return usable_pairs(list_split(self.root, split, self.cfg.exclude, known_layouts()))
        return [pair for pair in self.info.pairs(self.root, split) if not matches(pair.name, self.cfg.exclude)]

    def _held_out(self, pairs: list[PairFiles]) -> dict[str, list[PairFiles]]:
        chosen = holdout_split([pair.name for pair in pairs], self.protocol.carved)
        self.notes.append(
            f"no validation split: {len(chosen)} of {len(pairs)} training pairs are held out, the same ones in every run"
        )
        return {
            "train": [pair for pair in pairs if pair.name not in chosen],
            "val": [pair for pair in pairs if pair.name in chosen],
        }


def split_files(cfg: DataCfg, split: str, root: Path | None = None) -> list[PairFiles]:
    """Return the files of one split on disk, without held-out validation pairs.

    Args:
        cfg: Data set and reading options.
        split: `"train"`, `"val"` or `"test"`.
        root: Folder of the data set, if not the default one.

    Raises:
        InputError: The split does not exist or cannot be used.
    """
    source = _Files(cfg, _named(cfg.data))
    source.root = root or source.root
    return source.read(split)


def data_root(name: str) -> Path:
    """Return the folder of a named data set: `$CDZOO_DATA/NAME`, `data/NAME` by default."""
    return Path(os.environ.get(ROOT_VARIABLE, "data")) / name


def _named(data: str) -> DatasetInfo | None:
    """Return the data set named by `data`, which may be `NAME:NUM_TRAIN` if it is generated; None for a folder."""
    name, colon, _ = data.partition(":")
    info = None if Path(data).is_dir() else DATASETS.get(name)
    return info if info is None or not colon or info.generate is not None else None


@functools.lru_cache(maxsize=4)
def _generated(data: str, split: str) -> CachedDataset:
    """Return a generated split, shared by all runs of this process."""
    name, _, num_train = data.partition(":")
    info = DATASETS[name]
    assert info.generate is not None
    if num_train and (not num_train.isdecimal() or int(num_train) < 1):
        raise InputError(f"{data}: expected a number of training pairs, such as {name}:{info.splits['train']}")
    return CachedDataset(*info.generate(split, int(num_train) if num_train else None))


def _check_disjoint(splits: dict[str, list[PairFiles]]) -> None:
    """Raise if two splits have a pair with the same images. Only files of equal sizes are read."""
    by_size: dict[tuple[int, ...], list[tuple[str, PairFiles]]] = {}
    for split, pairs in splits.items():
        for pair in pairs:
            by_size.setdefault(tuple(path.stat().st_size for path in pair.images), []).append((split, pair))
    for candidates in by_size.values():
        if len({split for split, _ in candidates}) < 2:
            continue
        seen: dict[bytes, tuple[str, PairFiles]] = {}
        for split, pair in candidates:
            digest = hashlib.sha256(b"".join(path.read_bytes() for path in pair.images)).digest()
            other_split, other = seen.setdefault(digest, (split, pair))
            if other_split != split:
                raise InputError(
                    f"{pair.images[-1]} ({split}) has the same content as {other.images[-1]} ({other_split}), and so have the "
                    f"other dates of these pairs; splits must not share pairs. See cdzoo data check; leave it out with --exclude"
                )
