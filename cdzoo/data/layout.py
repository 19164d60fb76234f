"""Folder layouts and splits of data sets."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cdzoo.data.listing import SPLITS, Listing, contents, list_folders, read_names
from cdzoo.data.patterns import match_patterns
from cdzoo.data.suggestion import suggest_patterns
from cdzoo.errors import InputError

Layout = tuple[str, ...]
"""Folder names: one per date, then the masks or other labels."""
LISTS = ("list/{}.txt", "{}.txt")
"""List files of a split, see `SPLITS`."""

LAYOUTS: tuple[Layout, ...] = (
    ("A", "B", "label"),
    ("T1", "T2", "GT"),
    ("im1", "im2", "label"),
    ("time1", "time2", "label"),
    ("pre", "post", "label"),
)
"""Layouts shared by several data sets. The layout of a single data set is in its file in `cdzoo.data.datasets`."""

PLACES: tuple[Layout, ...] = (("imgs_1", "imgs_2", "cm.png"), ("imgs_1", "imgs_2", "cm/cm.png"))
"""Layouts of a folder for each place: folders of bands of both dates, and the mask."""

_COUNTS = {3: "three", 4: "four", 5: "five"}


def find_layout(root: str | Path, layouts: Sequence[Layout] = LAYOUTS) -> tuple[Path, ...] | None:
    """Return the folders of the first layout that exists in `root`, or None."""
    candidates = (tuple(Path(root) / name for name in layout) for layout in layouts)
    return next((folders for folders in candidates if all(folder.is_dir() for folder in folders)), None)


def find_places(root: str | Path, layouts: Sequence[Layout] = LAYOUTS) -> Layout | None:
    """Return the first of `PLACES` that folders in `root` have, or None; also where only layouts of other labels are expected."""
    if LAYOUTS[0] not in layouts:
        return None
    return next((layout for layout in PLACES if all(any(Path(root).glob(f"*/{name}")) for name in layout)), None)


def find_splits(root: str | Path, layouts: Sequence[Layout] = LAYOUTS, lists: Sequence[str] = LISTS) -> dict[str, Path]:
    """Return the folder (`root/train`) or list file (`root/list/train.txt`, `root/train.txt`) of each split of a data set."""
    root = Path(root)
    found: dict[str, Path] = {}
    for split, names in SPLITS.items():
        for name in names:
            if find_layout(root / name, layouts) or find_places(root / name, layouts):
                found.setdefault(split, root / name)
            elif find_layout(root, layouts) or find_places(root, layouts):
                for file in (root / pattern.format(name) for pattern in lists):
                    if file.is_file():
                        found.setdefault(split, file)
    return found


def list_split(
    root: str | Path,
    split: str | None = None,
    exclude: Sequence[str] = (),
    layouts: Sequence[Layout] = LAYOUTS,
    dates: int | None = None,
    lists: Sequence[str] = LISTS,
) -> Listing:
    """List the samples of one split, or all samples of a folder without splits.

    Args:
        root: Folder of the data set.
        split: `"train"`, `"val"` or `"test"`; None for `root` itself.
        exclude: Wildcards (fnmatch) of sample names to leave out.
        layouts: Layouts to look for.
        dates: Number of folders of dates in a layout, before those of labels; by default all but one.
        lists: List files of a split.

    Raises:
        InputError: The folder or the split does not exist, or no layout matches.
    """
    root = Path(root)
    if not os.path.isdir(root):
        raise InputError(f"{root}: no such folder")
    if split is None:
        return _list_pairs(root, exclude, None, layouts, dates)
    splits = find_splits(root, layouts, lists)
    if split not in splits:
        found = f"it has {', '.join(splits)}" if splits else f"it has no splits; found {contents(root)}"
        raise InputError(f"{root}: no split '{split}' (expected a folder {split}/ or a list file list/{split}.txt); {found}")
    source = splits[split]
    if source.is_dir():
        return _list_pairs(source, exclude, None, layouts, dates)
    return _list_pairs(root, exclude, source, layouts, dates)


def _list_pairs(root: Path, exclude: Sequence[str], names: Path | None, layouts: Sequence[Layout], dates: int | None) -> Listing:
    """List the samples of a folder, matched by file name without suffix; with a file of `names`, only these."""
    folders = find_layout(root, layouts)
    if folders is None and (place := find_places(root, layouts)):
        return _list_places(root, place, exclude, names)
    if folders is None:
        expected = "; ".join("/".join(layout) for layout in layouts)
        counts = " or ".join(_COUNTS.get(count, str(count)) for count in sorted({*map(len, layouts)}))
        near = suggest_patterns(root)
        advice = f". Name the files instead of --data {root}, for example: {near}" if near else ""
        raise InputError(f"{root}: expected {counts} folders (one of {expected}), found {contents(root)}{advice}")
    split = len(folders) - 1 if dates is None else dates
    return list_folders(root, folders[:split], folders[split:], exclude, names)


def _list_places(root: Path, layout: Layout, exclude: Sequence[str], names: Path | None) -> Listing:
    """List the samples of a folder with a folder for each place; with a file of `names`, only these."""
    before, after, mask = (os.path.join(glob.escape(str(root)), "*", name) for name in layout)
    listing = replace(match_patterns(before, after, mask, exclude)[None], root=root)
    if names is None:
        return listing
    wanted = {name for line in read_names(names) for name in re.split(r"[,\s]+", line) if name}
    known = {*(pair.name for pair in listing.pairs), *listing.unlabeled, *listing.excluded}
    missing = [f"{name}: listed, but there is no such pair in {root}" for name in sorted(wanted - known)]
    unlabeled = {name: dates for name, dates in listing.unlabeled.items() if name in wanted}
    pairs = [pair for pair in listing.pairs if pair.name in wanted]
    return replace(listing, pairs=pairs, unlabeled=unlabeled, problems=[*listing.problems, *missing])
