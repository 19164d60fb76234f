"""`DatasetInfo`: one named data set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cdzoo.data.layout import PairFiles, find_splits, list_pairs, list_split
from cdzoo.data.splits import scene_of
from cdzoo.errors import InputError

Reader = Callable[[Path, str], list[PairFiles]]

RANDOM = {"train": 8, "val": 1, "test": 1}
"""Shares of a random split."""


@dataclass(frozen=True)
class DatasetInfo:
    """Facts of a data set, and where its pairs are on disk.

    Attributes:
        name: Under which `--data` finds it.
        title: As its authors call it.
        description: One line: what changes, where, when.
        resolution: Metres per pixel.
        splits: Pairs of each official split; empty when there is none and a random one is made.
        image_size: Side of an image in pixels; None when they differ.
        license: As its authors state it; "not stated" when it could not be confirmed.
        paper: Authors, venue, doi.
        homepage: Where its authors offer it.
        files: What to get there.
        layout: What the folder must look like.
        citation: BibTeX entry.
        split_at_random: There is no official split: 8:1:1 by a hash of the scene names, unless folders or lists say otherwise.
        reader: Finds the pairs of a split when the layout is none of the usual ones.
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
    reader: Reader | None = field(default=None, repr=False)

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
            return [pair for pair in self._usable(list_pairs(root)) if random_split(pair.name) == split]
        return self._usable(list_split(root, split))

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
        from cdzoo.io.images import image_size

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

    def _usable(self, listing: object) -> list[PairFiles]:
        from cdzoo.data.folder import usable_pairs
        from cdzoo.data.layout import Listing

        assert isinstance(listing, Listing)
        return usable_pairs(listing)


def random_split(name: str) -> str:
    """Return the split of a sample in a random 8:1:1 split: by a hash of its scene, so the same everywhere."""
    digest = hashlib.sha256(f"cdzoo 8:1:1 {scene_of(name)}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") % sum(RANDOM.values())
    for split, share in RANDOM.items():
        if place < share:
            return split
        place -= share
    raise AssertionError("shares do not add up")
