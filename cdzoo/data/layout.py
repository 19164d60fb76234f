"""Find the files of samples: folder layouts, splits, and matching by file name."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from cdzoo.errors import InputError
from cdzoo.io.images import SUFFIXES, check_same_size
from cdzoo.names import natural_key

Layout = tuple[str, ...]
"""Folder names: one per date, then the masks."""

LAYOUTS: tuple[Layout, ...] = (
    ("A", "B", "label"),
    ("T1", "T2", "GT"),
    ("im1", "im2", "label"),
    ("time1", "time2", "label"),
    ("pre", "post", "label"),
)
"""Layouts shared by several data sets. The layout of a single data set is in its file in `cdzoo.data.datasets`."""

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""Names of the folders and list files of each split."""


@dataclass(frozen=True)
class PairFiles:
    """Files of one sample.

    Attributes:
        name: Name of the sample.
        images: Image of each date.
        mask: Mask of the change between the dates.
    """

    name: str
    images: tuple[Path, ...]
    mask: Path


@dataclass(frozen=True)
class Listing:
    """Content of a folder of samples.

    Attributes:
        root: The folder.
        pairs: Samples with all images and a mask, in natural order of their names.
        unlabeled: Images of the samples without a mask, by name.
        problems: One line for each missing or unusable file.
        excluded: Names left out through `exclude`.
    """

    root: Path
    pairs: list[PairFiles] = field(default_factory=list)
    unlabeled: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)


def find_layout(root: str | Path, layouts: Sequence[Layout] = LAYOUTS) -> tuple[Path, ...] | None:
    """Return the folders of the first layout that exists in `root`, or None."""
    candidates = (tuple(Path(root) / name for name in layout) for layout in layouts)
    return next((folders for folders in candidates if all(folder.is_dir() for folder in folders)), None)


def find_splits(root: str | Path, layouts: Sequence[Layout] = LAYOUTS) -> dict[str, Path]:
    """Return the folder (`root/train`) or list file (`root/list/train.txt`, `root/train.txt`) of each split of a data set."""
    root = Path(root)
    found: dict[str, Path] = {}
    for split, names in SPLITS.items():
        for name in names:
            if find_layout(root / name, layouts):
                found.setdefault(split, root / name)
            elif find_layout(root, layouts):
                for file in (root / "list" / f"{name}.txt", root / f"{name}.txt"):
                    if file.is_file():
                        found.setdefault(split, file)
    return found


def list_split(
    root: str | Path, split: str | None = None, exclude: Sequence[str] = (), layouts: Sequence[Layout] = LAYOUTS
) -> Listing:
    """List the samples of one split, or all samples of a folder without splits.

    Args:
        root: Folder of the data set.
        split: `"train"`, `"val"` or `"test"`; None for `root` itself.
        exclude: Wildcards (fnmatch) of sample names to leave out.
        layouts: Layouts to look for.

    Raises:
        InputError: The folder or the split does not exist, or no layout matches.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    if split is None:
        return _list_pairs(root, exclude, None, layouts)
    splits = find_splits(root, layouts)
    if split not in splits:
        found = f"it has {', '.join(splits)}" if splits else f"it has no splits; found {contents(root)}"
        raise InputError(f"{root}: no split '{split}' (expected a folder {split}/ or a list file list/{split}.txt); {found}")
    source = splits[split]
    if source.is_dir():
        return _list_pairs(source, exclude, None, layouts)
    return _list_pairs(root, exclude, read_names(source), layouts)


def read_names(file: Path) -> list[str]:
    """Return the sample names in a list file: one per line, suffixes removed.

    Raises:
        InputError: The file is empty, is not text, or has duplicate names.
    """
    try:
        names = [Path(line.strip()).stem for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: the list of names cannot be read ({error})") from error
    if not names:
        raise InputError(f"{file}: the list is empty")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"{file}: listed more than once: {', '.join(twice[:8])}")
    return names


def _list_pairs(root: Path, exclude: Sequence[str], names: Sequence[str] | None, layouts: Sequence[Layout]) -> Listing:
    """List the samples of a folder, matched by file name without suffix; with `names`, only these."""
    folders = find_layout(root, layouts)
    if folders is None:
        expected = "; ".join("/".join(layout) for layout in layouts)
        raise InputError(f"{root}: expected three folders (one of {expected}), found {contents(root)}")
    listing = Listing(root)
    *dates, masks = (_by_stem(folder, listing.problems) for folder in folders)
    found = set(masks).union(*dates)
    wanted = found if names is None else set(names)
    listing.excluded.extend(sorted((name for name in wanted if matches(name, exclude)), key=natural_key))
    for name in sorted(wanted.difference(listing.excluded), key=natural_key):
        _add(listing, name, [date.get(name) for date in dates], masks.get(name), folders)
    return listing


def usable_pairs(listing: Listing) -> list[PairFiles]:
    """Return the samples of a listing after checking that all of them are complete and of matching sizes.

    Samples without a mask are left out with a warning that names them.

    Raises:
        InputError: A file is missing, sizes differ, or no sample is left; all affected files are listed.
    """
    problems = list(listing.problems)
    for pair in listing.pairs:
        try:
            for path in (*pair.images[1:], pair.mask):
                check_same_size(pair.images[0], path)
        except InputError as error:
            problems.append(str(error))
    if problems:
        hint = "repair them, or leave pairs out with --exclude NAME (wildcards allowed)"
        raise InputError("\n".join([f"{listing.root}: {len(problems)} file(s) cannot be used; {hint}", *problems]))
    if not listing.pairs:
        raise InputError(f"{listing.root}: no pair with a mask")
    if listing.unlabeled:
        warnings.warn(
            f"{listing.root}: {len(listing.unlabeled)} pair(s) without a mask are left out: {', '.join(listing.unlabeled)}",
            stacklevel=4,
        )
    return listing.pairs


def contents(root: Path) -> str:
    """Return the names of up to eight files and folders in a folder, for error messages."""
    names = sorted(path.name + ("/" if path.is_dir() else "" if path.exists() else " (a broken link)") for path in root.iterdir())
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


def _add(listing: Listing, name: str, images: Sequence[Path | None], mask: Path | None, folders: Sequence[Path]) -> None:
    """Add a sample to the pairs, the unlabeled samples or the problems of a listing."""
    found = tuple(image for image in images if image)
    if len(found) == len(images) and mask:
        listing.pairs.append(PairFiles(name, found, mask))
    elif len(found) == len(images):
        listing.unlabeled[name] = found
    elif found:
        listing.problems.append(f"{folders[images.index(None)] / name}.*: missing, but there is {found[0]}")
    elif mask:
        listing.problems.append(f"{mask}: a mask without images")
    else:
        listing.problems.append(f"{name}: listed, but there is no such pair in {listing.root}")


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a name matches any of some wildcards (fnmatch)."""
    return any(fnmatch(name, pattern) for pattern in patterns)


def _by_stem(folder: Path, problems: list[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if not path.is_file():
            problems.append(f"{path}: {'a folder' if path.is_dir() else 'a broken or circular link'}, not a file")
        elif path.stem in files:
            problems.append(f"{path}: duplicate name, the other file is {files[path.stem].name}; keep one of them")
        else:
            files[path.stem] = path
    return files
