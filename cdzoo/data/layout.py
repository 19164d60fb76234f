"""Finding pairs in a folder: how the usual layouts name their dates, masks and splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from cdzoo.errors import InputError
from cdzoo.io.images import SUFFIXES
from cdzoo.names import natural_key

LAYOUTS = (
    ("A", "B", "label"),
    ("A", "B", "OUT"),
    ("T1", "T2", "GT"),
    ("im1", "im2", "label"),
    ("t1", "t2", "mask"),
    ("time1", "time2", "label"),
    ("pre", "post", "label"),
    ("Image1", "Image2", "label"),
)
"""Names of the folders of the first date, the second date and the masks."""

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""The three splits and the names that folders and list files have for them."""


@dataclass(frozen=True)
class PairFiles:
    """Files of one sample."""

    name: str
    image_a: Path
    image_b: Path
    mask: Path


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        root: The folder.
        pairs: Samples with both dates and a mask, in natural order of their names.
        unlabelled: Names of pairs without a mask.
        problems: A line for each file that has no partner or is no file.
        excluded: Names left out on request.
    """

    root: Path
    pairs: list[PairFiles]
    unlabelled: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)


def find_layout(root: str | Path) -> tuple[Path, Path, Path] | None:
    """Return the folders of the two dates and the masks below `root`, or None when it holds none of `LAYOUTS`."""
    for layout in LAYOUTS:
        first, second, mask = (Path(root) / name for name in layout)
        if first.is_dir() and second.is_dir() and mask.is_dir():
            return first, second, mask
    return None


def find_splits(root: str | Path) -> dict[str, Path]:
    """Return what defines each split of a data set: a folder of pairs (`root/train`) or a list (`root/list/train.txt`)."""
    root = Path(root)
    found: dict[str, Path] = {}
    for split, names in SPLITS.items():
        for name in names:
            if find_layout(root / name):
                found.setdefault(split, root / name)
            elif find_layout(root):
                for file in (root / "list" / f"{name}.txt", root / f"{name}.txt"):
                    if file.is_file():
                        found.setdefault(split, file)
    return found


def list_split(root: str | Path, split: str | None = None, exclude: Sequence[str] = ()) -> Listing:
    """List the pairs of one split, or all of a folder that is not split.

    Args:
        root: The data set.
        split: `"train"`, `"val"` or `"test"`; None for `root` itself.
        exclude: fnmatch wildcards of names to leave out.

    Raises:
        InputError: There is no such folder or split, or its layout is not recognised.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    if split is None:
        return list_pairs(root, exclude)
    splits = find_splits(root)
    if split not in splits:
        there = f"it has {', '.join(splits)}" if splits else f"it is not split; found {contents(root)}"
        raise InputError(f"{root}: no split '{split}' (a folder {split}/ of pairs, or list/{split}.txt); {there}")
    source = splits[split]
    return list_pairs(source, exclude) if source.is_dir() else list_pairs(root, exclude, read_names(source))


def read_names(file: Path) -> list[str]:
    """Return the names in a list file, one a line, without suffixes.

    Raises:
        InputError: The file is empty, not text, or lists a name twice.
    """
    try:
        names = [Path(line.strip()).stem for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: no list of names that can be read ({error})") from error
    if not names:
        raise InputError(f"{file}: the list is empty")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"{file}: listed more than once: {', '.join(twice[:8])}")
    return names


def list_pairs(root: Path, exclude: Sequence[str] = (), names: Sequence[str] | None = None) -> Listing:
    """List the pairs of a folder of one of `LAYOUTS`, matched by file name without suffix.

    Args:
        root: The folder.
        exclude: fnmatch wildcards of names to leave out.
        names: Only these.

    Raises:
        InputError: There is no such folder, or its layout is not recognised.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    layout = find_layout(root)
    if layout is None:
        expected = "; ".join("/".join(one) for one in LAYOUTS)
        raise InputError(f"{root}: expected three folders (one of {expected}), found {contents(root)}")
    problems: list[str] = []
    first, second, masks = (_by_stem(folder, problems) for folder in layout)
    every = first.keys() | second.keys() | masks.keys()
    wanted = set(every if names is None else names)
    excluded = {name for name in wanted if any(fnmatch(name, pattern) for pattern in exclude)}
    listing = Listing(root, [], [], problems, sorted(excluded, key=natural_key))
    for name in sorted(wanted - excluded, key=natural_key):
        a, b, mask = first.get(name), second.get(name), masks.get(name)
        if a and b and mask:
            listing.pairs.append(PairFiles(name, a, b, mask))
        elif a and b:
            listing.unlabelled.append(name)
        elif a or b:
            there, lacking = (a, layout[1]) if a else (b, layout[0])
            problems.append(f"{lacking / name}.*: missing, but there is {there}")
        else:
            problems.append(f"{mask}: a mask without images" if mask else f"{name}: listed, but there is no such pair in {root}")
    return listing


def contents(root: Path) -> str:
    """Name what is in a folder, for a message; links that lead nowhere are marked."""
    names = sorted(
        path.name + ("/" if path.is_dir() else "" if path.exists() else " (a link that leads nowhere)") for path in root.iterdir()
    )
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


def _by_stem(folder: Path, problems: list[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if not path.is_file():
            problems.append(f"{path}: {'a folder' if path.is_dir() else 'a link that leads nowhere or in a circle'}, no file")
        elif path.stem in files:
            problems.append(f"{path}: two images of one name, the other is {files[path.stem].name}; keep one")
        else:
            files[path.stem] = path
    return files
