"""`open_data`: the splits of a folder, a named data set, or synthetic scenes, under a protocol."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from cdzoo.data.datasets import DatasetInfo, all_datasets
from cdzoo.data.datasets.info import RANDOM
from cdzoo.data.folder import FilePairs, usable_pairs
from cdzoo.data.layout import PairFiles, find_splits, list_split
from cdzoo.data.masks import MaskEncoding
from cdzoo.data.protocols import get_protocol
from cdzoo.data.splits import holdout_split
from cdzoo.data.tiles import TiledPairs
from cdzoo.errors import ConfigError, InputError
from cdzoo.protocol import Protocol
from cdzoo.validation import config_dataclass

ROOT_VARIABLE = "CDZOO_DATA"


@config_dataclass
class DataCfg:
    """A data set and how its files are read.

    Attributes:
        data: Folder of pairs, name of a data set, or synthetic:N for N synthetic training pairs.
        protocol: Protocol (cdzoo data list); the default protocol of the data set by default.
        exclude: Wildcards of sample names to leave out.
        val: Another folder with the validation pairs.
        value_range: Values (min, max) that map to [0, 1]; required for images of more than 8 bits.
        mask_encoding: 0/1, 0/255 or threshold; detected by default.
    """

    data: str
    protocol: str | None = None
    exclude: tuple[str, ...] = ()
    val: str | None = None
    value_range: tuple[float, float] | None = None
    mask_encoding: str | None = None

    def __post_init__(self) -> None:
        """Validate the fields."""
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise ConfigError(f"value_range must be (min, max) with min < max, got {self.value_range}")
        encodings = [encoding.value for encoding in MaskEncoding]
        if self.mask_encoding is not None and self.mask_encoding not in encodings:
            raise ConfigError(f"mask_encoding must be one of {', '.join(encodings)}, got '{self.mask_encoding}'")

    @property
    def encoding(self) -> MaskEncoding | None:
        """Encoding of the masks; None if it is detected."""
        return None if self.mask_encoding is None else MaskEncoding(self.mask_encoding)


@dataclass
class Opened:
    """Opened splits of a data set.

    Attributes:
        protocol: Protocol of the splits.
        splits: Samples of each split.
        notes: Remarks on how the splits were made.
    """

    protocol: Protocol
    splits: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> dict[str, list[str]]:
        """Names of the samples of each split, which the record of the protocol hashes."""
        return {split: list(samples.names) for split, samples in self.splits.items()}


def open_data(cfg: DataCfg, splits: Sequence[str], bands: tuple[int, ...] = (3, 3)) -> Opened:
    """Open splits of a data set.

    If there is no validation split, part of the training split is held out (see `holdout_split`). A folder without splits is a
    training split; its test split is the whole folder. The test split is only opened on request.

    Args:
        cfg: Data set.
        splits: Any of `"train"`, `"val"`, `"test"`.
        bands: Number of bands of each date.

    Raises:
        InputError: The data do not exist or are invalid, the training split shows no change, or splits share files.
        ConfigError: The protocol does not exist or belongs to another data set.
    """
    name, _, argument = cfg.data.partition(":")
    info = all_datasets().get(name)
    if info is not None and info.generate is not None and not Path(cfg.data).exists():
        protocol = get_protocol(cfg.protocol, name)
        return Opened(protocol, {split: info.generate(split, argument) for split in splits}, ["synthetic scenes"])
    source = _Source(cfg)
    opened = Opened(source.protocol, {}, source.notes)
    pairs = source.pairs(splits)
    if cfg.val is not None and Path(cfg.val).resolve() == source.root.resolve():
        opened.notes.append("the validation pairs are the training pairs: scores show whether the model learns, nothing else")
    else:
        _check_duplicates(pairs)
    for split, files in pairs.items():
        samples = FilePairs(files, bands, cfg.value_range, cfg.encoding)
        opened.splits[split] = TiledPairs(samples, source.protocol.tile) if source.protocol.tile else samples
        opened.notes.append(f"{split}: {len(opened.splits[split])} pairs, masks {samples.encoding.value}")
        official = source.info.splits.get(split) if source.info else None
        if official is not None and official != len(files) and split == "test":
            opened.notes.append(f"not the official test split, which has {official} pairs: this one has {len(files)}")
    if "train" in opened.splits and not opened.splits["train"].has_change():
        raise InputError(
            f"{cfg.data}: none of the {len(pairs['train'])} training masks shows any change, so there is nothing to learn; check "
            f"them with: cdzoo data check {cfg.data}"
        )
    return opened


def split_files(cfg: DataCfg, split: str, root: Path | None = None) -> list[PairFiles]:
    """Return the files of one split as they are on disk, without a held-out part; `root` replaces the folder of the data set.

    Raises:
        InputError: The split does not exist or is invalid.
    """
    source = _Source(cfg)
    source.root = root or source.root
    return source.read(split)


def data_root(name: str) -> Path:
    """Return the folder of a named data set: `$CDZOO_DATA/NAME`, or `data/NAME`."""
    return Path(os.environ.get(ROOT_VARIABLE, "data")) / name


class _Source:
    """Location of the files of each split."""

    def __init__(self, cfg: DataCfg) -> None:
        self.cfg = cfg
        self.notes: list[str] = []
        self.info: DatasetInfo | None = None if Path(cfg.data).is_dir() else all_datasets().get(cfg.data)
        self.root = Path(cfg.data) if self.info is None else data_root(cfg.data)
        self.protocol = get_protocol(cfg.protocol, self.info.name if self.info else "")

    def pairs(self, splits: Sequence[str]) -> dict[str, list[PairFiles]]:
        """Return the files of each split."""
        if self.cfg.val is not None and "val" in splits:
            own = usable_pairs(list_split(self.cfg.val, None, self.cfg.exclude))
            others = self._own_pairs([split for split in splits if split != "val"])
            return {split: own if split == "val" else others[split] for split in splits}
        return self._own_pairs(splits)

    def read(self, split: str | None) -> list[PairFiles]:
        """Return the files of one split, or of the whole folder."""
        if self.info is None or split is None:
            return usable_pairs(list_split(self.root, split, self.cfg.exclude))
        listed = self.info.pairs(self.root, split)
        return [pair for pair in listed if not any(fnmatch(pair.name, pattern) for pattern in self.cfg.exclude)]

    def _own_pairs(self, splits: Sequence[str]) -> dict[str, list[PairFiles]]:
        existing = set(find_splits(self.root))
        if self.info is not None:
            existing |= set(RANDOM) if self.info.split_at_random else set(self.info.splits)
        learning = [split for split in splits if split != "test"]
        found: dict[str, list[PairFiles]] = {}
        if learning and "val" not in existing and (not existing or "train" in existing):
            whole = self.read("train" if existing else None)
            found = {"train": whole} if self.cfg.val is not None else self._hold_out(whole, learning)
        for split in splits:
            if split not in found:
                if not existing:
                    self.notes.append(f"{self.root} has no splits: all of its pairs are used")
                found[split] = self.read(split if existing else None)
        return {split: found[split] for split in splits}

    def _hold_out(self, pairs: list[PairFiles], splits: Sequence[str]) -> dict[str, list[PairFiles]]:
        chosen = holdout_split([pair.name for pair in pairs], self.protocol.carved)
        self.notes.append(f"no validation split: {len(chosen)} of {len(pairs)} training pairs are held out, chosen by name")
        both = {
            "train": [pair for pair in pairs if pair.name not in chosen],
            "val": [pair for pair in pairs if pair.name in chosen],
        }
        return {split: both[split] for split in splits}


def _check_duplicates(splits: dict[str, list[PairFiles]]) -> None:
    """Raise if two splits contain the same pair of images; only files of equal sizes are read."""
    by_size: dict[tuple[int, int], list[tuple[str, PairFiles]]] = {}
    for split, pairs in splits.items():
        for pair in pairs:
            size = pair.image_a.stat().st_size, pair.image_b.stat().st_size
            by_size.setdefault(size, []).append((split, pair))
    for group in by_size.values():
        if len({split for split, _ in group}) < 2:
            continue
        seen: dict[bytes, tuple[str, PairFiles]] = {}
        for split, pair in group:
            digest = hashlib.sha256(pair.image_a.read_bytes() + pair.image_b.read_bytes()).digest()
            other_split, other = seen.setdefault(digest, (split, pair))
            if other_split != split:
                raise InputError(
                    f"{pair.image_b} ({split}) is the same picture as {other.image_b} ({other_split}), and so is its first date; "
                    f"scores on training pairs are meaningless. See cdzoo data check; leave it out with --exclude"
                )
