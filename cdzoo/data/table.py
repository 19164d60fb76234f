"""Tables of pairs: a CSV file that names the images, the mask and the split of each pair."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cdzoo.data.listing import LABELS, SCENES, SPLITS, Listing, PairFiles, matches, read_text
from cdzoo.errors import InputError
from cdzoo.io.images import image_files
from cdzoo.names import suggest

DATES, MASK, SPLIT = ("before", "after"), "mask", "split"
_DELIMITERS = ",;\t"
_LISTED = 8


def read_table(file: str | Path, exclude: Sequence[str] = (), labels: Sequence[str] = (MASK,)) -> dict[str | None, Listing]:
    """Read a table of pairs, and return the pairs of each split; of None if the table has no splits.

    The first line names the columns, in any order and case: `before`, `after`, `mask` and optionally `split`; others are not
    read. They are separated by commas, semicolons or tabs. Paths are relative to the folder of the file. A pair without a mask is
    listed as unlabeled. Pairs are named by the file of their first date, with as many of its folders as tell them apart.

    Args:
        file: Text file, in UTF-8 or UTF-16.
        exclude: Wildcards (fnmatch) of pairs to leave out.
        labels: Columns of label files. The last one of several is optional.

    Raises:
        InputError: The file is missing or not such a table, or lines are wrong, which are all named.
    """
    file = Path(file)
    if not file.is_file():
        raise InputError(f"{file}: no such file; --pairs takes a table (CSV) with the columns before, after, mask and split")
    rows = _rows(file, labels)
    problems: list[str] = []
    splits, images, masks = [], [], []
    for line, row in rows:
        wrong: list[str] = []
        splits.append(_split(row.get(SPLIT, ""), wrong))
        images.append([_path(file, row, name, SCENES, wrong) for name in DATES])
        columns = [name for name in labels if name in row] if row.get(labels[0]) else []
        masks.append([_path(file, row, name, LABELS, wrong) for name in columns])
        problems += [f"{file}, line {line}: {problem}" for problem in wrong]
    if not problems and any(splits) and not all(splits):
        lacking = [line for (line, _), split in zip(rows, splits, strict=True) if not split]
        problems.append(f"{file}, line {lacking[0]}: has no split, although other lines have one ({len(lacking)} such lines)")
    if problems:
        more = [f"and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
        raise InputError("\n".join([f"{file}: {len(problems)} problem(s)", *problems[:_LISTED], *more]))
    found: dict[str | None, Listing] = {}
    for name, split, dates, given in zip(_names(images, rows), splits, images, masks, strict=True):
        listing = found.setdefault(split or None, Listing(file))
        if matches(name, exclude):
            listing.excluded.append(name)
        elif not given:
            listing.unlabeled[name] = tuple(dates)
        else:
            listing.pairs.append(PairFiles(name, tuple(dates), given[0], tuple(given[1:])))
    return found


def _rows(file: Path, labels: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return the number of each line that is not empty and its values by column."""
    lines = read_text(file, "the table of pairs").splitlines()
    if not lines:
        raise InputError(f"{file}: is empty; expected a first line such as before,after,mask,split")
    delimiter = max(_DELIMITERS, key=lines[0].count)
    try:
        parsed = csv.reader(lines, delimiter=delimiter, strict=True)
        header = [name.strip().lower() for name in next(parsed)]
        rows = [(parsed.line_num, [value.strip() for value in row]) for row in parsed if any(map(str.strip, row))]
    except csv.Error as error:
        raise InputError(f"{file}: is not a table of comma-separated values ({error})") from error
    if missing := [name for name in (*DATES, *(labels[:-1] or labels)) if name not in header]:
        near = "".join(suggest(name, header) for name in missing)
        raise InputError(
            f"{file}: no column {', '.join(missing)}; its first line must name the columns before, after, {', '.join(labels)} "
            f"and, if there are splits, split; it has {', '.join(header)}.{near}"
        )
    if twice := [name for name in (*DATES, *labels, SPLIT) if header.count(name) > 1]:
        raise InputError(f"{file}: the column {twice[0]} exists twice")
    if wrong := [(line, len(row)) for line, row in rows if len(row) > len(header)]:
        line, count = wrong[0]
        raise InputError(f"{file}, line {line}: {count} values for {len(header)} columns; quote values with a {delimiter!r}")
    if not rows:
        raise InputError(f"{file}: names no pairs")
    return [(line, dict(zip(header, row, strict=False))) for line, row in rows]


def _split(text: str, problems: list[str]) -> str:
    """Return the split that a text names, or an empty string."""
    for split, names in SPLITS.items():
        if text.lower() in names:
            return split
    if text:
        problems.append(f"split '{text}'; expected one of {', '.join(name for names in SPLITS.values() for name in names)}")
    return ""


def _path(file: Path, row: dict[str, str], name: str, suffixes: Sequence[str], problems: list[str]) -> Path:
    """Return the path in a column, after adding what is wrong with it to the problems."""
    text = row.get(name, "")
    path = file.parent / text
    if not text:
        problems.append(f"no path in the column {name}")
    elif "\\" in text and not path.exists():
        path = file.parent / text.replace("\\", "/")
    if text and not path.exists():
        problems.append(f"{name}: {path}: no such file")
    elif text and path.is_dir() and image_files(path) == [path]:
        problems.append(f"{name}: {path}: is a folder; name an image, or a folder with one file per band (B02.tif, ...)")
    elif text and path.is_file() and path.suffix.lower() not in suffixes:
        problems.append(f"{name}: {path}: files of {', '.join(suffixes)} are read")
    return path


def _names(images: Sequence[Sequence[Path]], rows: Sequence[tuple[int, object]]) -> list[str]:
    """Return different names of pairs: those of the first dates, with the folders that tell them apart, or with their lines."""
    parts = [dates[0].with_suffix("").parts if dates[0].is_file() else dates[0].parts for dates in images]
    names: list[str] = []
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["_".join(part.strip("/\\") for part in path[-depth:] if part != "..") for path in parts]
        if len({*names}) == len(names):
            return names
    count = Counter(names)  # the same first date in several pairs
    return [f"{name}_line{line}" if count[name] > 1 else name for name, (line, _) in zip(names, rows, strict=True)]
