"""`open_data`: splits of a folder or a named data set, tiled according to a protocol."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from torch.utils.data import Dataset

from cdzoo.data.datasets import DATASETS, DatasetInfo, known_layouts
from cdzoo.data.folder import FilePairs
from cdzoo.data.layout import PairFiles, find_splits, list_split, matches, usable_pairs
from cdzoo.data.masks import MaskEncoding
from cdzoo.data.overlap import name_hash, pair_hashes
from cdzoo.data.protocols import get_protocol
from cdzoo.data.sample import Sample, as_sample
from cdzoo.data.sampler import Samples
from cdzoo.data.splits import holdout_split, holdout_test
from cdzoo.data.tiles import TiledPairs
from cdzoo.errors import InputError
from cdzoo.io.images import check_value_range
from cdzoo.protocol import Protocol
from cdzoo.validation import config_dataclass

ROOT_VARIABLE = "CDZOO_DATA"
ALL = "all"
"""In place of a split: all pairs of a folder without splits."""


@config_dataclass
class DataCfg:
    """Data set and reading options.

    Attributes:
        data: Folder of pairs, or name of a data set (cdzoo data list); synthetic:N generates N training pairs.
        protocol: Name of the protocol (cdzoo data list); the default protocol of the data set by default.
        exclude: Wildcards of sample names to leave out.
        val: Folder of validation pairs, instead of the validation split.
        value_range: (min, max) mapped to [0, 1]; required for images of more than 8 bits.
        mask_encoding: Values of the masks for no change, change and, if there are any, pixels without a label: 0/1, 0/255,
            0/1/255, ...; threshold for noise around 0 and 255. Detected by default, if no pixels are without a label.
    """

    data: Annotated[str, Field(min_length=1)]
    protocol: str | None = None
    exclude: tuple[str, ...] = ()
    val: str | None = None
    value_range: tuple[float, float] | None = None
    mask_encoding: str | None = None

    def __post_init__(self) -> None:
        """Validate the value range and the encoding."""
        check_value_range(self.value_range)
        _ = self.encoding

    @property
    def encoding(self) -> MaskEncoding | None:
        """Declared encoding of the masks."""
        return None if self.mask_encoding is None else MaskEncoding(self.mask_encoding)


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

    @functools.cached_property
    def hashes(self) -> dict[str, list[str]]:
        """Hashes of the content of the pairs of each split, see `cdzoo.data.overlap`; tiled images count once."""
        return {split: samples.hashes() for split, samples in self.splits.items()}


def open_data(cfg: DataCfg, splits: Sequence[str], bands: tuple[int, ...] = (3, 3)) -> Opened:
    """Open splits of a data set.

    If there is no validation split, it is taken from the training split (see `holdout_split`). From a folder without splits, a
    test split is taken first (see `holdout_test`), the same one in every command. Splits that are not requested are not read.

    Args:
        cfg: Data set and reading options.
        splits: Any of `"train"`, `"val"`, `"test"`; or `"all"` for all pairs of a folder without splits.
        bands: Number of bands of each date.

    Raises:
        InputError: The data do not exist or cannot be used, the training split has no change, or splits share images.
        ConfigError: The protocol does not exist or belongs to another data set.
    """
    info = _named(cfg.data)
    if info is not None and info.generate is not None:
        generated = {split: _generated(cfg.data, split) for split in splits}
        notes = ["synthetic scenes", *(f"{split}: {len(samples)} generated pairs" for split, samples in generated.items())]
        return Opened(get_protocol(cfg.protocol, info.name), generated, notes)
    source = _Files(cfg, info, bands)
    opened = Opened(source.protocol, {}, source.notes)
    pairs = source.pairs(splits)
    if cfg.val is not None and Path(cfg.val).resolve() == source.root.resolve():
        opened.notes.append("the validation pairs are the training pairs: scores do not measure generalization")
    elif len(splits) > 1:
        _check_disjoint(pairs)
    for split in splits:
        samples = FilePairs(pairs[split], bands, cfg.value_range, cfg.encoding)
        opened.splits[split] = TiledPairs(samples, source.protocol.tile) if source.protocol.tile else samples
        tiles = f" in {len(opened.splits[split])} tiles" if len(opened.splits[split]) != len(samples) else ""
        void = f", {samples.unlabeled:.2%} of the pixels without a label" if samples.unlabeled else ""
        masks = f"masks {samples.encoding.value}{void}"
        opened.notes.append(f"{split}: {len(samples)} pairs{tiles}, {masks}, from {source.origin(split)}")
        official = info.splits.get(split) if info else None
        if official is not None and official != len(samples) and split == "test":
            opened.notes.append(f"not the official test split, which has {official} pairs: this one has {len(samples)}")
        if not samples.has_change() and split != "train":
            opened.notes.append(f"no mask of the {len(samples)} pairs of the split '{split}' has changed pixels")
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

    def hashes(self) -> list[str]:
        """Return a hash of each sample, see `cdzoo.data.overlap`."""
        return list(map(name_hash, self.names))

    def has_change(self) -> bool:
        """Return True without generating samples; synthetic splits contain change."""
        return True


class _Files:
    """Files of each split of a folder or a named data set."""

    def __init__(self, cfg: DataCfg, info: DatasetInfo | None, bands: tuple[int, ...] = (3, 3)) -> None:
        self.cfg, self.info, self.bands = cfg, info, bands
        self.notes: list[str] = []
        self.root = Path(cfg.data) if info is None else data_root(info.name)
        self.protocol = get_protocol(cfg.protocol, info.name if info else "")

    def pairs(self, splits: Sequence[str]) -> dict[str, list[PairFiles]]:
        """Return the files of at least the requested splits.

        Validation pairs are those of `val`, of the validation split, or held out; a folder without splits is carved.
        """
        existing = set(find_splits(self.root, known_layouts())) | (self.info.split_names if self.info else set())
        found: dict[str, list[PairFiles]] = {}
        if self.cfg.val is not None and "val" in splits:
            found["val"] = usable_pairs(list_split(self.cfg.val, None, self.cfg.exclude, known_layouts()))
        if not existing:
            return self._carved(self.read(None), splits) | found
        if ALL in splits:
            raise InputError(f"{self.root}: has splits; choose one of {', '.join(sorted(existing))} instead of '{ALL}'")
        if {"train", "val"} & {*splits} - {*found} and "val" not in existing and "train" in existing:
            whole = self.read("train")
            found |= self._held_out(whole) if self.cfg.val is None else {"train": whole}
        return found | {split: self.read(split) for split in splits if split not in found}

    def read(self, split: str | None) -> list[PairFiles]:
        """Return the files of a split on disk; None for a folder without splits."""
        if self.info is None or split is None:
            return usable_pairs(list_split(self.root, split, self.cfg.exclude, known_layouts()))
        return [pair for pair in self.info.pairs(self.root, split, self.bands) if not matches(pair.name, self.cfg.exclude)]

    def origin(self, split: str) -> str:
        """Return where the pairs of a split are from, for messages."""
        return self.cfg.val if split == "val" and self.cfg.val is not None else str(self.root)

    def _held_out(self, pairs: list[PairFiles]) -> dict[str, list[PairFiles]]:
        chosen = holdout_split([pair.name for pair in pairs], self.protocol.carved)
        self.notes.append(
            f"no validation split: {len(chosen)} of {len(pairs)} training pairs are held out, the same ones in every run"
        )
        return {
            "train": [pair for pair in pairs if pair.name not in chosen],
            "val": [pair for pair in pairs if pair.name in chosen],
        }

    def _carved(self, pairs: list[PairFiles], splits: Sequence[str]) -> dict[str, list[PairFiles]]:
        """Split the pairs of a folder without splits. The test split is always returned, to be compared with the others."""
        if ALL in splits:
            self.notes.append(f"{self.root} has no splits: all of its {len(pairs)} pairs are used")
            return {ALL: pairs}
        tested = holdout_test([pair.name for pair in pairs], self.protocol.carved)
        rest = [pair for pair in pairs if pair.name not in tested]
        found = {"test": [pair for pair in pairs if pair.name in tested]} if tested else {}
        if tested:
            how = f"{len(tested)} of its {len(pairs)} pairs are the test split, chosen by a hash of their names in every command"
            self.notes.append(f"{self.root} has no splits: {how}; --split {ALL} scores all of them")
        elif "test" in splits:
            self.notes.append(f"{self.root} has no splits and too few pairs to set some aside: all {len(pairs)} are tested")
            found["test"] = pairs
        if self.cfg.val is not None:
            return found | {"train": rest}
        return found | self._held_out(rest) if {"train", "val"} & {*splits} else found


def declared_task(cfg: DataCfg) -> tuple[str, tuple[str, ...]]:
    """Return the task that data are made for, and the names of its classes (empty for those of the task)."""
    info = _named(cfg.data)
    return ("binary", ()) if info is None else (info.task, info.class_names)


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
    info = None if os.path.isdir(data) else DATASETS.get(name)
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
    """Raise if two splits have a pair with the same images, whatever their names."""
    seen: dict[str, tuple[str, PairFiles]] = {}
    for split, pairs in splits.items():
        for pair, digest in zip(pairs, pair_hashes(pairs), strict=True):
            other_split, other = seen.setdefault(digest, (split, pair))
            if other_split != split:
                raise InputError(
                    f"{pair.images[-1]} ({split}) has the same content as {other.images[-1]} ({other_split}), and so have the "
                    f"other dates of these pairs; splits must not share pairs. See cdzoo data check; leave it out with --exclude"
                )
