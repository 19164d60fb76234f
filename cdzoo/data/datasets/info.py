"""`DatasetInfo`: description of a named data set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdzoo.data.folder import usable_pairs
from cdzoo.data.layout import PairFiles, find_splits, list_pairs, list_split
from cdzoo.data.splits import scene_of
from cdzoo.errors import InputError
from cdzoo.io.images import image_size
from cdzoo.protocol import Protocol

RANDOM = {"train": 8, "val": 1, "test": 1}
"""Shares of a random split."""

BY_HAND = "on the file hosts that the page links to (Google Drive, Baidu Disk)"


@dataclass(frozen=True)
class DatasetInfo:
    """Description of a data set, and the location of its pairs in a folder.

    Attributes:
        name: Name for `--data`.
        title: Name given by the authors.
        description: One line: what changes, where, when.
        resolution: Ground sampling distance in meters.
        splits: Number of pairs of each official split; empty if there is none.
        image_size: Side of an image in pixels; None if they differ.
        paper: Authors, venue, DOI.
        homepage: Page of the authors.
        files: Files to download from that page.
        citation: BibTeX entry.
        license: License as stated by the authors; "not stated" if it could not be confirmed.
        layout: Expected layout of the folder.
        split_at_random: There is no official split: 8:1:1 by a hash of the scene names, unless folders or lists define one.
        reader: Function (folder, split) that lists the pairs of an unusual layout.
        protocols: Protocols of the data set; the first one is the default.
        generate: Function (split, number of training pairs as text) of data sets that are generated instead of read.
    """

    name: str
    title: str
    description: str
    resolution: str
    splits: Mapping[str, int]
    image_size: int | None
    paper: str
    homepage: str
    files: str
    citation: str
    license: str = "not stated"
    layout: str = "train/, val/ and test/, each with A/, B/ and label/"
    split_at_random: bool = False
    reader: Callable[[Path, str], list[PairFiles]] | None = field(default=None, repr=False)
    protocols: tuple[Protocol, ...] = ()
    generate: Callable[[str, str], Any] | None = field(default=None, repr=False)

    def pairs(self, root: Path, split: str) -> list[PairFiles]:
        """Return the files of one split.

        Raises:
            InputError: The folder is not there or is laid out in another way; what to do is said.
        """
        if not root.is_dir():
            raise InputError(f"{root}: no such folder; cdzoo data info {self.name} says how to get {self.title}")
        if self.reader is not None:
            return self.reader(root, split)
        if self.split_at_random and not find_splits(root):
            return [pair for pair in usable_pairs(list_pairs(root)) if random_split(pair.name) == split]
        return usable_pairs(list_split(root, split))

    def verify(self, root: Path) -> list[str]:
        """Compare a folder with the official numbers; return a line for everything that differs."""
        problems: list[str] = []
        for split, count in self.splits.items():
            try:
                found = self.pairs(root, split)
            except InputError as error:
                problems.append(str(error))
                continue
            if len(found) != count:
                problems.append(
                    f"{root}: split '{split}' has {len(found)} pairs, officially {count}; complete it, or name the folder itself "
                    f"with --data {root} if it is another version"
                )
            problems += self._check_size(found[:1])
        return problems

    def _check_size(self, pairs: list[PairFiles]) -> list[str]:
        if self.image_size is None:
            return []
        problems = []
        for pair in pairs:
            try:
                height, width = image_size(pair.image_a)
            except InputError as error:
                problems.append(str(error))
                continue
            if (height, width) != (self.image_size, self.image_size):
                problems.append(
                    f"{pair.image_a}: {width}x{height} pixels, officially {self.image_size}x{self.image_size}; tiles on disk are "
                    f"used through their own folder (--data) and protocol folder"
                )
        return problems


def random_split(name: str) -> str:
    """Return the split of a sample in a random 8:1:1 split: by a hash of its scene, so the same everywhere."""
    digest = hashlib.sha256(f"cdzoo 8:1:1 {scene_of(name)}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") % sum(RANDOM.values())
    for split, share in RANDOM.items():
        if place < share:
            return split
        place -= share
    raise AssertionError("shares do not add up")


def bibtex(key: str, authors: str, title: str, venue: str, year: int, doi: str) -> str:
    """Return a BibTeX entry."""
    return (
        f"@article{{{key},\n  author = {{{authors}}},\n  title = {{{title}}},\n  journal = {{{venue}}},\n"
        f"  year = {{{year}}},\n  doi = {{{doi}}}\n}}"
    )
