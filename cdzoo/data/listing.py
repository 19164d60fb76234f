"""Find the files of samples in folders, matched by name."""

from __future__ import annotations

import codecs
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

from cdzoo.errors import InputError
from cdzoo.io.band_files import is_resampled
from cdzoo.io.georeference import georeference_mismatch
from cdzoo.io.images import check_same_size
from cdzoo.io.pillow import SUFFIXES
from cdzoo.io.placement import VECTORS, Placement, lies_elsewhere
from cdzoo.io.values import values_mismatch
from cdzoo.names import natural_key

Key = Callable[[str], "str | None"]
SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""Names of the folders and list files of each split."""
LABELS = (*SUFFIXES, *VECTORS)
"""Suffixes of label files."""
SCENES = (*SUFFIXES, ".vrt")
"""Suffixes of images that are named one by one."""
COMPANIONS = frozenset(
    ".hdr .xml .ovr .msk .prj .wld .tfw .pgw .jgw .bpw .wfw .j2w .db .ini .shx .dbf .cpg .sbn .sbx .qix .qpj .qml".split()
)
"""Suffixes of files that accompany images or polygons."""

_NAMED = 8


@dataclass(frozen=True)
class PairFiles:
    """Files of one sample.

    Attributes:
        name: Name of the sample.
        images: Image of each date.
        mask: Mask of the change between the dates, or the first of several label files.
        more: Further label files, in the order that the `Labels` of the data set expect.
        placement: What places the labels; None if they are stored on the grid of the images.
    """

    name: str
    images: tuple[Path, ...]
    mask: Path
    more: tuple[Path, ...] = ()
    placement: Placement | None = None

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


def list_folders(
    root: Path,
    dates: Sequence[Path],
    labels: Sequence[Path],
    exclude: Sequence[str] = (),
    names: Path | None = None,
    keys: Sequence[Key] | None = None,
) -> Listing:
    """List the samples of some folders, matched by file name without suffix.

    Args:
        root: Folder of the data set, for messages.
        dates: Folder of each date.
        labels: Folders of label files.
        exclude: Wildcards (fnmatch) of sample names to leave out.
        names: List file; all files by default.
        keys: For each folder, dates first: returns the sample of a file name without suffix, or None for other files.

    Raises:
        InputError: A folder or the list cannot be read, or a name is listed twice.
    """
    listing = Listing(root)
    folders = [*dates, *labels]
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        raise InputError(f"{root}: no folder {', '.join(missing)}; found {contents(root) if root.is_dir() else 'nothing'}")
    given = [*zip(folders, keys or [str] * len(folders), [SUFFIXES] * len(dates) + [LABELS] * len(labels), strict=True)]
    files = [_by_name(folder, listing, key, suffixes) for folder, key, suffixes in given]
    found = set[str]().union(*files)
    wanted = found if names is None else set(list_stems(names, found))
    listing.excluded.extend(sorted((name for name in wanted if matches(name, exclude)), key=natural_key))
    for name in sorted(wanted.difference(listing.excluded), key=natural_key):
        found_files = [each.get(name) for each in files]
        _add(listing, name, found_files[: len(dates)], found_files[len(dates) :], folders)
    return listing


def placed(pair: PairFiles, attribute: str | None = None) -> PairFiles:
    """Return a pair with what places its labels, if they are polygons or lie on another grid than its images.

    Args:
        pair: Files of a sample.
        attribute: Attribute of polygons that holds their value or the name of their class.

    Raises:
        InputError: A file cannot be read.
    """
    if not any(lies_elsewhere(path, pair.images[0]) for path in pair.labels):
        return pair
    return replace(pair, placement=Placement(pair.images[0], attribute))


def usable_pairs(listing: Listing, equal_values: bool = True, attribute: str | None = None) -> list[PairFiles]:
    """Return the samples of a listing after checking that all of them are complete, of matching sizes and of one place.

    Samples without a mask, and files that are not read, are left out with a warning that names them.

    Args:
        listing: Samples found.
        equal_values: Whether the values of all dates must mean the same, see `cdzoo.io.values`.
        attribute: Attribute of polygons that holds their value or the name of their class.

    Raises:
        InputError: A file is missing, sizes or georeferences differ, or no sample is left; all affected files are listed.
    """
    problems = list(listing.problems)
    pairs: list[PairFiles] = []
    resampled: list[str] = []
    for pair in listing.pairs:
        try:
            pairs.append(placed(pair, attribute))
            moved = [path for path in pair.images[1:] if is_resampled(path, pair.images[0])]
            resampled += [pair.name] if moved else []
            for path in (*pair.images[1:], *(() if pairs[-1].placement else pair.labels)):
                if path in moved:
                    continue
                check_same_size(pair.images[0], path)
                if mismatch := georeference_mismatch(pair.images[0], path):
                    problems.append(mismatch)
            for path in pair.images[1:] if equal_values else ():
                if mismatch := values_mismatch(pair.images[0], path):
                    problems.append(f"{mismatch}; bring them to one")
        except InputError as error:
            problems.append(str(error))
    _check_complete(listing, problems, 5)
    if resampled:
        warnings.warn(f"{listing.root}: {describe_resampled(resampled)}", stacklevel=4)
    return pairs


def complete_pairs(listing: Listing) -> list[PairFiles]:
    """Return the samples of a listing whose files may lie on different grids, after checking that all of them are complete.

    Raises:
        InputError: A file is missing, or there is no sample; all affected files are listed.
    """
    _check_complete(listing, listing.problems, 5)
    return listing.pairs


def _check_complete(listing: Listing, problems: Sequence[str], level: int) -> None:
    """Raise for problems and for a listing without samples; warn of what is left out."""
    if problems:
        hint = "repair them, or leave pairs out with --exclude NAME (wildcards allowed)"
        raise InputError("\n".join([f"{listing.root}: {len(problems)} file(s) cannot be used; {hint}", *problems]))
    if not listing.pairs:
        raise InputError(f"{listing.root}: no pair with a mask")
    for note in listing.notes:
        warnings.warn(note, stacklevel=level)


def describe_resampled(names: Sequence[str]) -> str:
    """Return the note about the pairs of which a date, a folder of bands, is brought to the grid of the first one."""
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"in {len(names)} pair(s), the bands of the second date are resampled to the grid of the first one: {shown}"


def read_names(file: Path) -> list[str]:
    """Return the sample names in a list file: the last part of the path in each line, with its suffix.

    Raises:
        InputError: The file is empty or is not text.
    """
    lines = read_text(file, "the list of names").splitlines()
    names = [line.strip().replace("\\", "/").rpartition("/")[2] for line in lines if line.strip()]
    if not names:
        raise InputError(f"{file}: the list is empty")
    return names


def read_text(file: Path, what: str) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark, or UTF-16.

    Raises:
        InputError: The file is not text; the message says `what` it is.
    """
    try:
        data = file.read_bytes()
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # written by editors of Windows
        return data.decode("utf-16" if wide else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: {what} cannot be read ({error})") from error


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a name matches any of some wildcards (fnmatch)."""
    return any(fnmatch(name, pattern) for pattern in patterns)


def contents(root: Path) -> str:
    """Return the names of up to eight files and folders in a folder, for error messages."""
    names = sorted(path.name + ("/" if path.is_dir() else "" if path.exists() else " (a broken link)") for path in root.iterdir())
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


def list_stems(file: Path, found: set[str]) -> list[str]:
    """Return the names in a list file without the suffixes of images. A name may have dots: `site.2019.01`."""
    stems = [
        name if name in found or not name.lower().endswith(SUFFIXES) else name.rpartition(".")[0] for name in read_names(file)
    ]
    if twice := [name for name, count in Counter(stems).items() if count > 1]:
        raise InputError(f"{file}: listed more than once: {', '.join(twice[:8])}")
    return stems


def _add(
    listing: Listing, name: str, images: Sequence[Path | None], labels: Sequence[Path | None], folders: Sequence[Path]
) -> None:
    """Add a sample to the pairs, the unlabeled samples or the problems of a listing."""
    found, given = (tuple(file for file in files if file) for files in (images, labels))
    if labels and len(found) == len(images) and len(given) == len(labels):
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


def _by_name(folder: Path, listing: Listing, key: Key, suffixes: Sequence[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        suffix = path.suffix.lower()
        if path.name.startswith(".") or suffix in COMPANIONS:
            continue
        if suffix not in suffixes:
            listing.left_out.append(path)
        elif not path.is_file():
            listing.problems.append(f"{path}: {'a folder' if path.is_dir() else 'a broken or circular link'}, not a file")
        elif (name := key(path.stem)) in files:
            listing.problems.append(f"{path}: duplicate name, the other file is {files[name].name}; keep one of them")
        elif name is not None:
            files[name] = path
    return files
