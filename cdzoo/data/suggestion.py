"""Proposal of `--before`, `--after` and `--mask` for a folder that has no known layout."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cdzoo.data.listing import LABELS, SPLITS
from cdzoo.data.patterns import SPLIT
from cdzoo.errors import InputError
from cdzoo.io.images import image_files, image_format
from cdzoo.io.pillow import SUFFIXES
from cdzoo.io.placement import is_vector
from cdzoo.names import natural_key

_DEPTH, _FILES, _MOST = 3, 5000, 40  # levels of folders, files and groups of them that are looked at
_SPLIT_NAMES = frozenset(name for names in SPLITS.values() for name in names)
_WORDS = {
    "before": "a t1 date1 im1 img1 image1 imgs1 images1 time1 year1 pre before old first previous past reference1",
    "after": "b t2 date2 im2 img2 image2 imgs2 images2 time2 year2 post after new second current present reference2",
    "mask": "label labels mask masks gt groundtruth change changes changed changemap binary cm cd out target targets annotation "
    "annotations ref reference truth diff",
}
_ROLES = {word: role for role, words in _WORDS.items() for word in words.split()}
_PIECE = re.compile(r"([_\-. ]+)")
_YEAR = re.compile(r"(?:19|20)\d\d(?:[01]\d(?:[0-3]\d)?)?")


@dataclass(frozen=True)
class _Place:
    """What the files of a group share.

    Attributes:
        role: `before`, `after` or `mask`; empty if no word tells.
        year: Year or day that tells the date; may be empty.
        folders: Folders below the root, `{split}` for that of a split.
        word: Word in the names of the files that tells the role or year; may be empty.
        suffix: Suffix of the files.
    """

    role: str
    year: str
    folders: tuple[str, ...]
    word: str
    suffix: str


@dataclass
class _Group:
    """Files of one role: what is before and after the word in their names."""

    place: _Place
    files: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def shared(self) -> bool:
        """Whether there is one file of polygons, which may be the labels of all pairs."""
        return len(self.files) == 1 and is_vector(self.place.suffix)

    @property
    def pattern(self) -> str:
        """Path with wildcards below the root."""
        if self.shared:
            return os.path.join(*self.place.folders, f"{self.files[0][1]}{self.place.word}{self.files[0][2]}{self.place.suffix}")
        texts = [{file[part] for file in self.files} for part in (1, 2)]
        start, end = (_star(found, side) if self._varies(side) else min(found) for side, found in enumerate(texts))
        return os.path.join(*self.place.folders, f"{start}{self.place.word}{end}{self.place.suffix}")

    @property
    def names(self) -> set[str]:
        """What the wildcards stand for, without separators at the ends."""
        varies = self._varies(0), self._varies(1)
        texts = ((file[0], *(text for text, kept in zip(file[1:], varies, strict=True) if kept)) for file in self.files)
        return {"_".join(part.strip("_-. ") for part in file if part.strip("_-. ")) for file in texts}

    def _varies(self, side: int) -> bool:
        """Return whether what is before (0) or after (1) the word is a part of the names."""
        texts = {file[side + 1] for file in self.files}
        alone = len(self.files) == 1 and not self.place.folders.count("*")
        return len(texts) > 1 or (side == 0 and texts != {""} and (alone or not self.place.word))


def _star(texts: set[str], side: int) -> str:
    """Return `*` with the separator that all texts have next to the word."""
    ends = {(text[0] if side else text[-1]) if text else "" for text in texts}
    separator = min(ends) if len(ends) == 1 and ends <= {*"_-. "} else ""
    return f"{separator}*" if side else f"*{separator}"


def suggest_patterns(root: Path) -> str | None:
    """Return options of the command line that name the pairs of a folder; None if its files suggest none.

    The role of files is told by a word or a year in the names of their folders or of themselves, such as `pre`, `T2`, `label` or
    `2018`; files of one band without such a word may be masks. The combination with the most pairs wins.

    Args:
        root: Folder without a known layout.
    """
    groups = sorted(_groups(root), key=lambda group: (-len(group.files), natural_key(group.pattern)))[:_MOST]
    best: tuple[tuple[int, bool], list[str]] = ((0, False), [])
    for chosen in _combinations(groups, root):
        pairs = len(set[str].intersection(*(group.names for group in chosen if not group.shared)))
        score = pairs, chosen[2].place.word == chosen[1].place.word
        if pairs and score > best[0]:
            best = score, [os.path.join(str(root), group.pattern) for group in chosen]
    return " ".join(f"--{name} '{pattern}'" for name, pattern in zip(("before", "after", "mask"), best[1], strict=False)) or None


def _combinations(groups: Sequence[_Group], root: Path) -> Iterator[tuple[_Group, _Group, _Group]]:
    """Yield three groups: of both dates and of the masks."""
    before, after, masks, rest = ([g for g in groups if g.place.role == role] for role in ("before", "after", "mask", ""))
    years = sorted({group.place.year for group in rest} - {""})
    for mask in masks or [group for group in rest if not group.place.year and _may_be_mask(root, group.pattern)]:
        yield from ((one, two, mask) for one in before for two in after)
        if len(years) == 2:
            dated = [[group for group in rest if group.place.year == year] for year in years]
            yield from ((one, two, mask) for one in dated[0] for two in dated[1])
        others = sorted((g for g in rest if g is not mask and not g.place.year), key=lambda group: natural_key(group.pattern))
        if len(others) == 2 and not (before or after):
            yield others[0], others[1], mask


def _may_be_mask(root: Path, pattern: str) -> bool:
    """Return whether the first file of a pattern is an image of one band, or holds polygons."""
    file = next(iter(sorted(root.glob(pattern.replace(SPLIT, "*")))), None)
    try:
        return file is not None and (is_vector(file) or image_format(file)[2] == 1)
    except InputError:
        return False


def _groups(root: Path) -> list[_Group]:
    """Return the groups of the files in a folder; a folder with one file per band counts as a file."""
    found: dict[_Place, _Group] = {}
    left = _FILES
    for folder, folders, names in os.walk(root):
        parts = Path(folder).relative_to(root).parts
        folders[:] = [] if len(parts) >= _DEPTH else sorted(name for name in folders if not name.startswith("."))
        images = [name for name in folders if image_files(Path(folder, name)) != [Path(folder, name)]]
        folders[:] = [name for name in folders if name not in images]
        kept = [name for name in sorted(names) if Path(name).suffix.lower() in LABELS and not name.startswith(".")]
        for name in [*images, *kept][:left]:
            place, file = _located(parts, name, "" if name in images else Path(name).suffix)
            found.setdefault(place, _Group(place)).files.append(file)
            left -= 1
    return [*found.values()]


def _located(parts: tuple[str, ...], name: str, suffix: str) -> tuple[_Place, tuple[str, str, str]]:
    """Return the group of a file, the folders that name the pair, and what is before and after the word in its name."""
    stem = name.removesuffix(suffix)
    pieces = [stem] if any(_told(stem)) else _PIECE.split(stem)
    number = max((number for number, piece in enumerate(pieces) if any(_told(piece))), default=len(pieces))
    word = "".join(pieces[number : number + 1])
    folders, named = [], []
    for part in parts:
        # The folders of files that have no names of their own, such as pre.png, name the pairs.
        literal = word != stem or any(_told(part))
        folders.append(SPLIT if part in _SPLIT_NAMES else part if literal else "*")
        named += [part] if folders[-1] != part else []
    told = [*map(_told, (word, *parts))]
    roles, years = ([one[kind] for one in told if one[kind]] for kind in (0, 1))
    role = "mask" if "mask" in roles or (suffix and suffix.lower() not in SUFFIXES) else (*roles, "")[0]
    place = _Place(role, (*years, "")[0], tuple(folders), word, suffix)
    return place, ("_".join(named), "".join(pieces[:number]), "".join(pieces[number + 1 :]))


def role_of(name: str) -> str:
    """Return `before`, `after` or `mask` if a name, or the last word of it, tells the role; else an empty string."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    words = [name, *reversed(_PIECE.split(spaced))]
    return next((role for role in (_told(word)[0] for word in words) if role), "")


def _told(word: str) -> tuple[str, str]:
    """Return the role and the year that a word tells."""
    return _ROLES.get(re.sub(r"[_\- ]", "", word.lower()), ""), word if _YEAR.fullmatch(word) else ""
