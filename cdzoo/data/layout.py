"""Find the files of samples: folder layouts, splits, and matching by file name."""

from __future__ import annotations

import codecs
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from cdzoo.errors import InputError
from cdzoo.io.georeference import georeference_mismatch
from cdzoo.io.images import check_same_size
from cdzoo.io.pillow import SUFFIXES
from cdzoo.io.values import values_mismatch
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

_COUNTS = {3: "three", 4: "four", 5: "five"}

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""Names of the folders and list files of each split."""

_COMPANIONS = frozenset(
    (".hdr", ".xml", ".ovr", ".msk", ".prj", ".wld", ".tfw", ".pgw", ".jgw", ".bpw", ".wfw", ".j2w", ".db", ".ini")
)
"""Suffixes of files that accompany images."""


@dataclass(frozen=True)
class PairFiles:
    """Files of one sample.

    Attributes:
        name: Name of the sample.
        images: Image of each date.
        mask: Mask of the change between the dates, or the first of several label files.
        more: Further label files, in the order that the `Labels` of the data set expect.
    """

    name: str
    images: tuple[Path, ...]
    mask: Path
    more: tuple[Path, ...] = ()

    @property
    def labels(self) -> tuple[Path, ...]:
        """All label files."""
        return (self.mask, *self.more)


@dataclass(frozen=True)
class Listing:
    """Content of a folder of samples.

    Attributes:
        root: The folder.
        pairs: Samples with all images and a mask, in natural order of their names.
        unlabeled: Images of the samples without a mask, by name.
        problems: One line for each missing or unusable file.
        excluded: Names left out through `exclude`.
        left_out: Files in its folders that are no images of `SUFFIXES`, and further folders in them.
    """

    root: Path
    pairs: list[PairFiles] = field(default_factory=list)
    unlabeled: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    left_out: list[Path] = field(default_factory=list)

    @property
    def files(self) -> list[Path]:
        """All images and masks."""
        paired = [file for pair in self.pairs for file in (*pair.images, *pair.labels)]
        return [*paired, *(image for images in self.unlabeled.values() for image in images), *self.left_out]

    @property
    def notes(self) -> list[str]:
        """One line about each kind of files and samples that are left out."""
        notes = []
        if self.left_out:
            kinds = Counter("folders" if path.is_dir() else path.suffix.lower() or "no suffix" for path in self.left_out)
            shown = ", ".join(f"{count} of {kind}" for kind, count in kinds.most_common())
            notes.append(
                f"{self.root}: {len(self.left_out)} file(s) are left out, such as {self.left_out[0]} ({shown}); only files of "
                f"{', '.join(SUFFIXES)} in these folders are read"
            )
        if self.unlabeled:
            names = ", ".join(self.unlabeled)
            notes.append(f"{self.root}: {len(self.unlabeled)} pair(s) without a mask are left out: {names}")
        return notes


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
    root: str | Path,
    split: str | None = None,
    exclude: Sequence[str] = (),
    layouts: Sequence[Layout] = LAYOUTS,
    dates: int | None = None,
) -> Listing:
    """List the samples of one split, or all samples of a folder without splits.

    Args:
        root: Folder of the data set.
        split: `"train"`, `"val"` or `"test"`; None for `root` itself.
        exclude: Wildcards (fnmatch) of sample names to leave out.
        layouts: Layouts to look for.
        dates: Number of folders of dates in a layout, before those of labels; by default all but one.

    Raises:
        InputError: The folder or the split does not exist, or no layout matches.
    """
    root = Path(root)
    if not os.path.isdir(root):
        raise InputError(f"{root}: no such folder")
    if split is None:
        return _list_pairs(root, exclude, None, layouts, dates)
    splits = find_splits(root, layouts)
    if split not in splits:
        found = f"it has {', '.join(splits)}" if splits else f"it has no splits; found {contents(root)}"
        raise InputError(f"{root}: no split '{split}' (expected a folder {split}/ or a list file list/{split}.txt); {found}")
    source = splits[split]
    if source.is_dir():
        return _list_pairs(source, exclude, None, layouts, dates)
    return _list_pairs(root, exclude, source, layouts, dates)


def read_names(file: Path) -> list[str]:
    """Return the sample names in a list file: the last part of the path in each line, with its suffix.

    Raises:
        InputError: The file is empty or is not text.
    """
    try:
        data = file.read_bytes()
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # written by editors of Windows
        lines = data.decode("utf-16" if wide else "utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: the list of names cannot be read ({error})") from error
    names = [line.strip().replace("\\", "/").rpartition("/")[2] for line in lines if line.strip()]
    if not names:
        raise InputError(f"{file}: the list is empty")
    return names


def _list_pairs(
    root: Path, exclude: Sequence[str], names: Path | None, layouts: Sequence[Layout], dates: int | None = None
) -> Listing:
    """List the samples of a folder, matched by file name without suffix; with a file of `names`, only these."""
    folders = find_layout(root, layouts)
    if folders is None:
        expected = "; ".join("/".join(layout) for layout in layouts)
        count = _COUNTS.get(len(layouts[0]), len(layouts[0]))
        raise InputError(f"{root}: expected {count} folders (one of {expected}), found {contents(root)}")
    listing = Listing(root)
    files = [_by_stem(folder, listing) for folder in folders]
    images, labels = files[: dates or -1], files[dates or -1 :]
    found = set[str]().union(*files)
    wanted = found if names is None else set(_stems(names, found))
    listing.excluded.extend(sorted((name for name in wanted if matches(name, exclude)), key=natural_key))
    for name in sorted(wanted.difference(listing.excluded), key=natural_key):
        _add(listing, name, [each.get(name) for each in images], [each.get(name) for each in labels], folders)
    return listing


def _stems(file: Path, found: set[str]) -> list[str]:
    """Return the names in a list file without the suffixes of images. A name may have dots: `site.2019.01`."""
    stems = [
        name if name in found or not name.lower().endswith(SUFFIXES) else name.rpartition(".")[0] for name in read_names(file)
    ]
    if twice := [name for name, count in Counter(stems).items() if count > 1]:
        raise InputError(f"{file}: listed more than once: {', '.join(twice[:8])}")
    return stems


def usable_pairs(listing: Listing, equal_values: bool = True) -> list[PairFiles]:
    """Return the samples of a listing after checking that all of them are complete, of matching sizes and of one place.

    Samples without a mask, and files that are not read, are left out with a warning that names them.

    Args:
        listing: Samples found.
        equal_values: Whether the values of all dates must mean the same, see `cdzoo.io.values`.

    Raises:
        InputError: A file is missing, sizes or georeferences differ, or no sample is left; all affected files are listed.
    """
    problems = list(listing.problems)
    for pair in listing.pairs:
        try:
            for path in (*pair.images[1:], *pair.labels):
                check_same_size(pair.images[0], path)
                if mismatch := georeference_mismatch(pair.images[0], path):
                    problems.append(mismatch)
            for path in pair.images[1:] if equal_values else ():
                if mismatch := values_mismatch(pair.images[0], path):
                    problems.append(f"{mismatch}; bring them to one")
        except InputError as error:
            problems.append(str(error))
    if problems:
        hint = "repair them, or leave pairs out with --exclude NAME (wildcards allowed)"
        raise InputError("\n".join([f"{listing.root}: {len(problems)} file(s) cannot be used; {hint}", *problems]))
    if not listing.pairs:
        raise InputError(f"{listing.root}: no pair with a mask")
    for note in listing.notes:
        warnings.warn(note, stacklevel=4)
    return listing.pairs


def contents(root: Path) -> str:
    """Return the names of up to eight files and folders in a folder, for error messages."""
    names = sorted(path.name + ("/" if path.is_dir() else "" if path.exists() else " (a broken link)") for path in root.iterdir())
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


def _add(
    listing: Listing, name: str, images: Sequence[Path | None], labels: Sequence[Path | None], folders: Sequence[Path]
) -> None:
    """Add a sample to the pairs, the unlabeled samples or the problems of a listing."""
    found, given = (tuple(file for file in files if file) for files in (images, labels))
    if len(found) == len(images) and len(given) == len(labels):
        listing.pairs.append(PairFiles(name, found, given[0], given[1:]))
    elif len(found) == len(images) and given:
        listing.problems.append(f"{folders[len(images) + labels.index(None)] / name}.*: missing, but there is {given[0]}")
    elif len(found) == len(images):
        listing.unlabeled[name] = found
    elif found:
        listing.problems.append(f"{folders[images.index(None)] / name}.*: missing, but there is {found[0]}")
    elif given:
        listing.problems.append(f"{given[0]}: a mask without images")
    else:
        listing.problems.append(f"{name}: listed, but there is no such pair in {listing.root}")


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a name matches any of some wildcards (fnmatch)."""
    return any(fnmatch(name, pattern) for pattern in patterns)


def _by_stem(folder: Path, listing: Listing) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        suffix = path.suffix.lower()
        if path.name.startswith(".") or suffix in _COMPANIONS:
            continue
        if suffix not in SUFFIXES:
            listing.left_out.append(path)
        elif not path.is_file():
            listing.problems.append(f"{path}: {'a folder' if path.is_dir() else 'a broken or circular link'}, not a file")
        elif path.stem in files:
            listing.problems.append(f"{path}: duplicate name, the other file is {files[path.stem].name}; keep one of them")
        else:
            files[path.stem] = path
    return files
