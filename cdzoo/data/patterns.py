"""Pairs whose files are named by paths with wildcards, matched by what the wildcards stand for."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from cdzoo.data.listing import COMPANIONS, LABELS, SCENES, SPLITS, Listing, PairFiles, matches
from cdzoo.errors import ConfigError, InputError
from cdzoo.io.images import image_files
from cdzoo.io.pillow import SUFFIXES
from cdzoo.names import natural_key

SPLIT = "{split}"
"""In patterns: the folder of a split."""
_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[[^]]+\]")
_EXPRESSIONS = {"**/": r"((?:[^/]+/)*)", "**": r"([^/]*)", "*": r"([^/]*)", "?": "[^/]"}
_LISTED = 4


def match_patterns(before: str, after: str, mask: str, exclude: Sequence[str] = ()) -> dict[str | None, Listing]:
    """Find the pairs of three patterns, and return those of each split; of None if the patterns do not contain `{split}`.

    The name of a file is what `*` and `**` stand for in its pattern; `?` and `[...]` do not count. Files of equal names are a
    pair. A mask without `*` is one file of polygons for all pairs. Three paths without wildcards are one pair.

    Args:
        before: Pattern of the images of the first date.
        after: Pattern of those of the second date.
        mask: Pattern of the masks.
        exclude: Wildcards (fnmatch) of names to leave out.

    Raises:
        ConfigError: Some patterns have no `*`, or only some contain `{split}`.
        InputError: A path does not exist, a pattern matches no file, two of its files have one name, or no names are equal.
    """
    patterns = {"before": before, "after": after, "mask": mask}
    if not any(map(has_wildcards, patterns.values())):
        return {None: _named(patterns)}
    if lacking := [name for name in ("before", "after") if "*" not in patterns[name]]:
        raise ConfigError(
            f"--{lacking[0]}: {patterns[lacking[0]]} has no *, which stands for names of pairs, as in 'x/*_pre.tif'"
        )
    divided = [SPLIT in pattern for pattern in patterns.values() if "*" in pattern]
    if any(divided) and not all(divided):
        raise ConfigError(f"{SPLIT} must be in all of --before, --after and --mask, or in none")
    if not any(divided):
        return {None: _match(patterns, exclude)}
    found: dict[str | None, Listing] = {}
    for split, names in SPLITS.items():
        for name in names:
            given = {option: pattern.replace(SPLIT, name) for option, pattern in patterns.items()}
            if split not in found and glob.glob(given["before"], recursive=True):
                found[split] = _match(given, exclude)
    if not found:
        raise InputError(
            f"--before {before}: no file; {SPLIT} is one of {', '.join(name for names in SPLITS.values() for name in names)}"
        )
    return found


def has_wildcards(pattern: str) -> bool:
    """Return whether a path stands for several files."""
    return "*" in pattern or SPLIT in pattern or (bool(glob.has_magic(pattern)) and not os.path.exists(pattern))


def _named(patterns: dict[str, str]) -> Listing:
    """Return the pair of three paths."""
    before, after, mask = map(Path, patterns.values())
    for name, path in zip(patterns, (before, after, mask), strict=True):
        if not path.exists():
            raise InputError(f"--{name} {path}: no such file; check the path, or use * for several pairs, as in 'x/*_pre.tif'")
        suffixes = LABELS if name == "mask" else SCENES
        if path.is_dir() and image_files(path) == [path]:
            raise InputError(f"--{name} {path}: is a folder; name an image, or a folder with one file per band (B02.tif, ...)")
        if path.is_file() and path.suffix.lower() not in suffixes:
            raise InputError(f"--{name} {path}: files of {', '.join(suffixes)} are read; convert it first")
    return Listing(before, [PairFiles(before.stem if before.is_file() else before.name, (before, after), mask)])


def _match(patterns: dict[str, str], exclude: Sequence[str]) -> Listing:
    before, after, mask = patterns.values()
    shared = Path(mask) if "*" not in mask else None
    if shared is not None and not shared.is_file():
        raise InputError(f"--mask {mask}: no such file; name a file of polygons for all pairs, or use * as in 'y/*.png'")
    listing = Listing(Path(before))
    first, second = (_by_name(f"--{name}", patterns[name], SUFFIXES, listing) for name in ("before", "after"))
    masks = dict.fromkeys(first, shared) if shared else _by_name("--mask", mask, LABELS, listing)
    if not {*first} & {*second}:
        raise InputError(f"no pair: * is {_shown(first)} in --before, and {_shown(second)} in --after{_ADVICE}")
    if not {*first} & {*second} & {*masks}:
        raise InputError(f"no mask: * is {_shown(first)} in --before, and {_shown(masks)} in --mask{_ADVICE}")
    for name in sorted({*first, *second, *({} if shared else masks)}, key=natural_key):
        dates = [files[name] for files in (first, second) if name in files]
        label = masks.get(name)
        if matches(name, exclude):
            listing.excluded.append(name)
        elif len(dates) < 2:
            pattern = after if name in first else before
            known = dates[0] if dates else label
            listing.problems.append(f"{pattern.replace('*', name)}: missing, but there is {known}")
        elif label is None:
            listing.unlabeled[name] = tuple(dates)
        else:
            listing.pairs.append(PairFiles(name, tuple(dates), label))
    return listing


_ADVICE = ". Names must be equal: put what differs between the dates into the patterns, as in --before 'x/*_pre.tif'"


def _shown(files: dict[str, Path]) -> str:
    names = sorted(files, key=natural_key)
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")


def _by_name(option: str, pattern: str, suffixes: Sequence[str], listing: Listing) -> dict[str, Path]:
    """Return the files of a pattern by what its wildcards stand for."""
    expression, last = "", 0
    for token in _TOKEN.finditer(pattern):
        text = token[0].replace("[!", "[^", 1)
        expression += re.escape(pattern[last : token.start()]) + _EXPRESSIONS.get(token[0], text)
        last = token.end()
    compiled = re.compile(expression + re.escape(pattern[last:]))
    found: dict[str, Path] = {}
    for text in sorted(glob.glob(pattern, recursive=True)):
        path = Path(text)
        if (match := compiled.fullmatch(text)) is None or path.name.startswith(".") or path.suffix.lower() in COMPANIONS:
            continue
        name = "_".join(part.strip("/").replace("/", "_") for part in match.groups() if part.strip("/"))
        if path.is_dir() and image_files(path) == [path]:
            continue
        if path.is_file() and path.suffix.lower() not in suffixes:
            listing.left_out.append(path)
        elif name in found:
            raise InputError(f"{option} {pattern}: {found[name]} and {path} have the same name '{name}'; use one * less or more")
        else:
            found[name] = path
    if not found:
        raise InputError(f"{option} {pattern}: matches no file of {', '.join(suffixes)}; check the path, and put it in quotes")
    return found
