"""Pairs whose masks are not used: those that a list of labeled pairs leaves, and those that have no masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from cdzoo.data.labels import Labels, Maps
from cdzoo.data.layout import Layout
from cdzoo.data.listing import PairFiles, contents, list_folders, list_stems, usable_pairs
from cdzoo.data.mask_values import Counts
from cdzoo.data.overlap import pair_hashes
from cdzoo.data.source import FileSource
from cdzoo.errors import InputError
from cdzoo.io.images import image_size

UNLABELED = "unlabeled"
"""In place of a split: the pairs for semi-supervised training."""
_LISTED = 8


class NoLabels(Labels):
    """Labels of pairs whose masks are not read: 0 everywhere."""

    task = "binary"
    class_names: tuple[str, ...] = ("no change", "change")
    folders: ClassVar[dict[str, str]] = {}

    def load(self, pair: PairFiles) -> Maps:
        """Return a mask of zeros of the size of the first image, or of the part of a scene."""
        part = None if pair.placement is None else pair.placement.part
        size = image_size(pair.images[0]) if part is None else (part.height, part.width)
        return {"mask": np.zeros(size, np.uint8)}

    def targets(self, maps: Maps) -> Maps:
        """Return the maps."""
        return maps

    def count(self, pairs: Sequence[PairFiles]) -> list[Counts]:
        """Return no counts, and read nothing."""
        return []


def split_by_list(pairs: Sequence[PairFiles], file: str | Path) -> tuple[list[PairFiles], list[PairFiles]]:
    """Return the training pairs that a list names, and the others.

    Args:
        pairs: Training pairs.
        file: One name per line, with or without a suffix or a folder.

    Raises:
        InputError: The list cannot be read, or names a pair twice or one that is no training pair.
    """
    known = {pair.name for pair in pairs}
    wanted = list_stems(Path(file), known)
    if missing := [name for name in wanted if name not in known]:
        more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
        raise InputError(
            f"{file}: {len(missing)} of the {len(wanted)} names are no training pairs: {', '.join(missing[:_LISTED])}{more}. "
            "List names of the split 'train' that are neither held out for validation nor excluded"
        )
    chosen = set(wanted)
    return [pair for pair in pairs if pair.name in chosen], [pair for pair in pairs if pair.name not in chosen]


def without_labels(images: Mapping[str, tuple[Path, ...]]) -> list[PairFiles]:
    """Return the files of pairs, given their images by name; the first image stands in place of the mask, which is not read."""
    return [PairFiles(name, files, files[0]) for name, files in images.items()]


def folder_pairs(
    root: str | Path, layouts: Sequence[Layout], dates: int, exclude: Sequence[str] = (), equal_values: bool = True
) -> list[PairFiles]:
    """Return the pairs in a folder without labels, such as `A/x.png`, `B/x.png`.

    Args:
        root: The folder.
        layouts: Names of folders to look for, dates first.
        dates: Number of dates.
        exclude: Wildcards (fnmatch) of names to leave out.
        equal_values: Whether the values of all dates must mean the same.

    Raises:
        InputError: There is no such folder, no layout matches, or images are missing or do not fit each other.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; --unlabeled takes a folder of pairs without masks")
    for layout in layouts:
        folders = [root / name for name in layout[:dates]]
        if all(folder.is_dir() for folder in folders):
            found = list_folders(root, folders, [], exclude)
            return usable_pairs(dataclasses.replace(found, pairs=without_labels(found.unlabeled), unlabeled={}), equal_values)
    expected = "; ".join(dict.fromkeys("/".join(layout[:dates]) for layout in layouts))
    raise InputError(f"{root}: expected a folder for each date (one of {expected}), found {contents(root)}")


def held_out_pairs(source: FileSource, pairs: Mapping[str, Sequence[PairFiles]]) -> dict[str, list[PairFiles]]:
    """Return the pairs of the splits that nothing may be learned from, with and without masks.

    Args:
        source: Data set; its splits are looked up even if they are not used.
        pairs: Pairs of the splits that are used.
    """
    found = {split: list(pairs[split]) for split in ("val", "test") if split in pairs}
    named_val = source.cfg.val is not None
    if source.cfg.val is not None and Path(source.cfg.val).resolve() == source.root.resolve():
        found.pop("val", None)  # the training pairs themselves, on purpose
    for split in ("val", "test"):
        if split not in source.existing or (split == "val" and named_val):
            continue
        if source.info is None:
            listing = source.listing(split)
            found[split] = [*listing.pairs, *without_labels(listing.unlabeled)]
        elif split not in found:
            found[split] = source.read(split)
    return found


def check_apart(
    found: Sequence[PairFiles], labeled: Sequence[PairFiles], held_out: Mapping[str, Sequence[PairFiles]]
) -> list[PairFiles]:
    """Return the pairs without those that have the same images as a labeled one or one before.

    Args:
        found: Pairs whose masks are not used.
        labeled: Pairs whose masks are trained on.
        held_out: Pairs of the splits that nothing may be learned from.

    Raises:
        InputError: A pair has the same images as one that is held out.
    """
    closed = {
        digest: (split, pair) for split, pairs in held_out.items() for pair, digest in zip(pairs, pair_hashes(pairs), strict=True)
    }
    taken: set[str] = set(pair_hashes(labeled))
    kept = []
    for pair, digest in zip(found, pair_hashes(found), strict=True):
        if digest in closed:
            split, other = closed[digest]
            raise InputError(
                f"{pair.images[-1]} (unlabeled) has the same content as {other.images[-1]} ({split}), and so have the other "
                f"dates of these pairs; nothing may be learned from the split '{split}'. Leave the pair out with --exclude "
                "NAME, or remove it from the folder"
            )
        if digest not in taken:
            kept.append(pair)
        taken.add(digest)
    return kept
