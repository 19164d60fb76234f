"""`FileSource`: files and labels of each split of a folder or a named data set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cdzoo.data.classes import find_classes
from cdzoo.data.config import DataCfg
from cdzoo.data.datasets import DATASETS, DatasetInfo, known_layouts
from cdzoo.data.labels import Labels
from cdzoo.data.layout import Layout, find_layout, find_splits, list_split
from cdzoo.data.listing import Listing, PairFiles, complete_pairs, matches, usable_pairs
from cdzoo.data.matlab import holds_matlab
from cdzoo.data.patterns import has_wildcards, match_patterns
from cdzoo.data.protocols import SCENE, get_protocol
from cdzoo.data.scene import is_large
from cdzoo.data.splits import holdout_split, holdout_test
from cdzoo.data.table import MASK, read_table
from cdzoo.errors import ConfigError, InputError
from cdzoo.names import suggest
from cdzoo.protocol import Protocol

ROOT_VARIABLE = "CDZOO_DATA"
ALL = "all"
"""In place of a split: all pairs of a folder without splits."""


class FileSource:
    """Files of each split of a folder or a named data set.

    Args:
        cfg: Data set and reading options.
        bands: Number of bands of each date.

    Attributes:
        info: The named data set; None for a folder.
        root: Folder of the data.
        protocol: Protocol of the data.
        labels: Reads the targets; None for masks of change.
        layouts: Folders to look for, if the data set has no reader.
        is_cut: Whether pairs are scenes, which are cut when they are read.
        notes: Messages about the origin of the splits, one line each.
        listed: Pairs of each split that a table or patterns name; of None if they have no splits. None for other data.
        unlabeled: Images of the training pairs without a mask, by name; filled when they are read if it is set to a dict. By
            default, a warning says that they are left out.

    Raises:
        ConfigError: An option belongs to another kind of data.
        InputError: The file of classes of a folder is wrong or missing; or a table or patterns name no pairs.
    """

    def __init__(self, cfg: DataCfg, bands: tuple[int, ...] = (3, 3)) -> None:
        self.cfg, self.info, self.bands = cfg, named(cfg.data), bands
        self.notes: list[str] = []
        self.listed: dict[str | None, Listing] | None = None
        self.layouts: tuple[Layout, ...] = known_layouts()
        self.dates: int | None = None
        self.labels: Labels | None = None
        self.unlabeled: dict[str, tuple[Path, ...]] | None = None
        if self.info is not None:
            if self.info.generate is not None:
                raise InputError(f"{cfg.data} is generated when it is opened; it has no files")
            self.root = data_root(self.info.name) if cfg.root is None else Path(cfg.root)
            self.labels = self.info.labels_of(cfg.class_order)
            if wrong := [name for name in ("classes", "label_attribute") if getattr(cfg, name) is not None]:
                raise ConfigError(f"{wrong[0]} is for data of your own; the labels of {cfg.data} are declared already")
            if self.labels is not None and cfg.val is not None:
                raise ConfigError(
                    f"val is for folders of pairs; {cfg.data} has classes, and its validation pairs are a split of it"
                )
        else:
            if cfg.classes is not None and not os.path.isfile(cfg.classes):
                raise InputError(f"{cfg.classes}: no such file; it declares the classes of the labels, see docs/classes.md")
            if wrong := [name for name in ("root", "class_order", "test_event") if getattr(cfg, name) is not None]:
                raise ConfigError(f"{wrong[0]} is for named data sets, and {cfg.title} is none; name the data set: --data NAME")
            self.root = Path(cfg.title)
            if own := find_classes(self.root if cfg.data else self.root.parent, cfg.classes, not cfg.data):
                self.labels, self.layouts, self.dates = own.labels, own.layouts, 2
            if not cfg.data:
                self.listed = self._find_listed()
        if self.labels is not None and cfg.mask_encoding is not None:
            raise ConfigError(f"mask_encoding is for masks of change; the classes of {cfg.title} are declared already")
        self.is_cut = self.info is None and self._has_scenes()
        self.protocol = self._described_protocol()

    def _described_protocol(self) -> Protocol:
        """Return the protocol, with what the options say of windows and splits."""
        cfg, own = self.cfg, ("aoi", "tile", "block", "holdout")
        if self.info is not None and (wrong := [name for name in own if getattr(cfg, name) is not None]):
            raise ConfigError(f"{wrong[0]} is for data of your own; the protocols of {cfg.data} say how its images are split")
        found = get_protocol(cfg.protocol or (SCENE.name if self.is_cut else None), self.info.name if self.info else "")
        found = found if cfg.holdout is None else replace(found, carved=cfg.holdout)
        if not self.is_cut:
            return found
        if cfg.protocol is not None and cfg.tile is not None and found.tile not in (None, SCENE.tile, cfg.tile):
            raise ConfigError(f"protocol '{cfg.protocol}' has tiles of {found.tile} pixels; leave --tile {cfg.tile} out")
        return replace(found, tile=cfg.tile or found.tile or SCENE.tile)

    def _has_scenes(self) -> bool:
        """Return whether options or the sizes of listed images tell that pairs are scenes."""
        cfg = self.cfg
        if cfg.protocol == SCENE.name or any(option is not None for option in (cfg.aoi, cfg.tile, cfg.block)):
            return True
        if cfg.before is not None and not any(map(has_wildcards, (cfg.before, cfg.after or "", cfg.mask or ""))):
            return True
        images = [pair.images[0] for listing in (self.listed or {}).values() for pair in listing.pairs]
        return any(is_large(image) for image in images)

    def _find_listed(self) -> dict[str | None, Listing]:
        """Return the pairs of each split of a table or of patterns."""
        if self.cfg.pairs is not None:
            folders = self.labels.folders if self.labels else ()
            columns = [MASK if name == "label" else name for name in folders] or [MASK]
            return read_table(self.cfg.pairs, self.cfg.exclude, columns)
        if self.labels is not None and "label" not in self.labels.folders:
            raise ConfigError("labels of both dates cannot be named by --mask; name them in a table: --pairs FILE.csv")
        return match_patterns(str(self.cfg.before), str(self.cfg.after), str(self.cfg.mask), self.cfg.exclude)

    @property
    def existing(self) -> set[str]:
        """Splits that the data have; none for data without splits."""
        if self.listed is not None:
            return {split for split in self.listed if split is not None}
        found = set(find_splits(self.root, self.layouts)) if self.info is None or self.labels is None else set[str]()
        return found | ({*self.info.existing_splits(self.root)} if self.info else set())

    def listing(self, split: str | None) -> Listing:
        """Return what a split of a folder, a table or patterns has, usable or not; None for data without splits."""
        if self.listed is not None:
            return self.listed.get(split, Listing(self.root))
        return self._list(self.root, split)

    def _list(self, root: str | Path, split: str | None) -> Listing:
        """List a split of a folder; the error for an unknown layout names the data set that has it."""
        self._check_folder(root)
        try:
            return list_split(root, split, self.cfg.exclude, self.layouts, self.dates)
        except InputError as error:
            own = [info for info in DATASETS.values() if find_layout(root, (*info.whole_layouts, *info.layouts))]
            if self.info is not None or not own or find_layout(root, self.layouts):
                raise
            names = " or ".join(f"--data {info.name} --root {root}" for info in own)
            raise InputError(f"{error}. Or, if it is a copy of that data set: {names}") from error

    def pairs(self, splits: Sequence[str]) -> dict[str, list[PairFiles]]:
        """Return the files of at least the requested splits.

        Validation pairs are those of `val`, of the validation split, or held out; a folder without splits is carved.
        """
        existing = self.existing
        found = self.named_val() if "val" in splits else {}
        if not existing:
            return self._carved(self.read(None), splits) | found
        if ALL in splits:
            raise InputError(f"{self.root}: has splits; choose one of {', '.join(sorted(existing))} instead of '{ALL}'")
        if {"train", "val"} & {*splits} - {*found} and "val" not in existing and "train" in existing:
            whole = self.read("train")
            found |= self._held_out(whole) if self.cfg.val is None else {"train": whole}
        return found | {split: self.read(split) for split in splits if split not in found}

    def named_val(self) -> dict[str, list[PairFiles]]:
        """Return the files of the validation split if a folder of them is named."""
        return {} if self.cfg.val is None else {"val": self._listed(self.cfg.val, None)}

    def read(self, split: str | None) -> list[PairFiles]:
        """Return the files of a split on disk; None for a folder without splits."""
        if self.listed is not None:
            self._check_listed(split)
            return self._usable(self.listing(split), split)
        if self.info is None or (split is None and self.labels is None):
            return self._listed(self.root, split)
        if split is None:
            pairs = self.info.whole(self.root)
        else:
            pairs = self.info.pairs(self.root, split, self.bands, self.cfg.test_event)
        return [pair for pair in pairs if not matches(pair.name, self.cfg.exclude)]

    def scenes(self, split: str | None) -> list[PairFiles]:
        """Return the files of the scenes of a split, which may lie on different grids; None for data without splits."""
        self._check_listed(split)
        if not self.cfg.data:
            return complete_pairs(self.listing(split))
        return complete_pairs(self._list(self.root, split))

    def _check_listed(self, split: str | None) -> None:
        if self.listed is not None and split is not None and split not in self.listed:
            raise InputError(f"{self.root}: no pairs of the split '{split}'; it has {', '.join(sorted(self.existing))}")

    def origin(self, split: str) -> str:
        """Return where the pairs of a split are from, for notes: they are stored with results, which others read."""
        if split == "val" and self.cfg.val is not None:
            return self.cfg.val
        if self.info is not None and self.cfg.root is None and ROOT_VARIABLE in os.environ:
            return f"${ROOT_VARIABLE}/{self.info.name}"
        return str(self.root)

    def _listed(self, root: str | Path, split: str | None) -> list[PairFiles]:
        return self._usable(self._list(root, split), split if root is self.root else "val")

    def _check_folder(self, root: str | Path) -> None:
        if str(root).startswith("hf-dataset:") or holds_matlab(root):
            raise InputError(f"{root}: write it as a folder first: cdzoo data prepare {root} --out FOLDER")
        if self.info is None and not os.path.isdir(root):
            near = suggest(str(root), DATASETS)
            raise InputError(f"{root}: no such folder, nor a data set.{near} 'cdzoo data list' shows the data sets.")

    def _usable(self, listing: Listing, split: str | None) -> list[PairFiles]:
        """Return the pairs of a listing that can be used, and take note of training pairs without a mask."""
        if self.unlabeled is not None and split in ("train", None):
            self.unlabeled |= listing.unlabeled
            listing = replace(listing, unlabeled={})
        return usable_pairs(listing, self.cfg.is_one_range, self.cfg.label_attribute)

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


def data_root(name: str) -> Path:
    """Return the folder of a named data set: `$CDZOO_DATA/NAME`, `data/NAME` by default."""
    return Path(os.environ.get(ROOT_VARIABLE, "data")) / name


def named(data: str) -> DatasetInfo | None:
    """Return the data set named by `data`, which may be `NAME:NUM_TRAIN` if it is generated; None for a folder."""
    name, colon, _ = data.partition(":")
    info = None if os.path.isdir(data) else DATASETS.get(name)
    return info if info is None or not colon or info.generate is not None else None
