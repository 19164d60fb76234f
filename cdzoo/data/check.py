"""Validation of a data set: all problems in one report, statistics, and a contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from cdzoo.data.datasets import known_layouts
from cdzoo.data.layout import find_splits, list_split
from cdzoo.data.listing import Listing, PairFiles
from cdzoo.data.masks import Counts, MaskEncoding, find_encoding, read_mask
from cdzoo.errors import InputError
from cdzoo.io.files import file_sha256
from cdzoo.io.georeference import georeference_mismatch
from cdzoo.io.images import UInt8, image_format, image_size, read_gray, read_image_and_valid
from cdzoo.io.values import values_mismatch
from cdzoo.visualize import mask_picture, strip, to_rgb

_THUMB = 160
_ROWS = 8


@dataclass
class SplitReport:
    """Statistics of one split.

    Attributes:
        name: Name of the split; `all` for a folder without splits.
        pairs: Number of pairs with all images and a mask.
        sizes: Number of pairs by (height, width).
        formats: For each date, number of images by format, such as `"3 band(s) uint8"`.
        encoding: Encoding of the masks; None if it could not be detected.
        changed: Fraction of changed pixels of those with a label, in [0, 1].
        unlabeled: Fraction of pixels without a label, in [0, 1].
        no_data: Fraction of pixels that an image declares to have no data, in [0, 1].
        unchanged_pairs: Number of pairs without change.
    """

    name: str
    pairs: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    formats: list[Counter[str]] = field(default_factory=list)
    encoding: MaskEncoding | None = None
    changed: float = 0.0
    unlabeled: float = 0.0
    no_data: float = 0.0
    unchanged_pairs: int = 0

    @property
    def described_formats(self) -> str:
        """Formats of the images, by date if they differ."""
        dates = [", ".join(f"{count} with {kind}" for kind, count in date.most_common()) for date in self.formats]
        if len({frozenset(date) for date in self.formats}) < 2:
            return ", ".join(f"{count} with {kind}" for kind, count in sum(self.formats, Counter[str]()).most_common())
        return "; ".join(f"date {number}: {text}" for number, text in enumerate(dates, 1))


@dataclass
class DataReport:
    """Report on a data set.

    Attributes:
        splits: One report per split.
        problems: One line per problem; empty if there is none.
        notes: Further messages, one line each.
        sheet: Contact sheet; None if no pair could be read.
    """

    splits: list[SplitReport] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sheet: Image.Image | None = None


def list_data(root: str | Path, exclude: Sequence[str] = ()) -> dict[str, Listing]:
    """List the samples of each split, or of `all` for a folder without splits.

    Args:
        root: Folder of the data set.
        exclude: Wildcards (fnmatch) of sample names to leave out.

    Raises:
        InputError: The folder does not exist, or no layout matches.
    """
    layouts = known_layouts()
    names: list[str | None] = list(find_splits(root, layouts)) or [None]
    return {split or "all": list_split(root, split, exclude, layouts) for split in names}


def check_data(
    root: str | Path, exclude: Sequence[str] = (), progress: bool = True, encoding: MaskEncoding | None = None
) -> DataReport:
    """Read every file of a data set and report all problems.

    Args:
        root: Folder of the data set, with or without splits.
        exclude: Wildcards (fnmatch) of sample names to leave out.
        progress: Show a progress bar.
        encoding: Encoding of the masks; detected in each split by default.

    Raises:
        InputError: The folder does not exist, or no layout matches.
    """
    report = DataReport()
    listings = list_data(root, exclude)
    copies: dict[str, list[tuple[str, Path]]] = {}  # split and path of each image, by its hash
    examples: list[tuple[PairFiles, MaskEncoding | None]] = []
    for split, listing in listings.items():
        report.problems += listing.problems
        report.notes += [note for note in listing.notes if "without a mask" not in note]
        if not listing.pairs:
            report.problems.append(f"{listing.root}: no pair with a mask")
        if listing.excluded:
            report.notes.append(f"excluded: {', '.join(listing.excluded)}")
        for name, images in listing.unlabeled.items():
            report.problems.append(f"{listing.root}: {name} has no mask{_date_mismatch(images)}")
        found, good = _check_split(split, listing.pairs, report, copies, progress, encoding)
        report.splits.append(found)
        if split in ("train", "all") and found.encoding and found.pairs and found.unchanged_pairs == found.pairs:
            report.problems.append(f"{root}: no mask of the split '{split}' has changed pixels, so there is nothing to learn")
        examples += [(pair, found.encoding) for pair in good[:: max(1, len(good) * len(listings) // _ROWS)]]
    _check_duplicates(copies, report)
    if examples:
        rows = [
            [*(_thumb(_shown(path)) for path in pair.images), _thumb(mask_picture(read_mask(pair.mask, encoding)))]
            for pair, encoding in examples[:_ROWS]
        ]
        report.sheet = strip(rows, ("before", "after", "change"))
    return report


def _date_mismatch(images: Sequence[Path]) -> str:
    """Return the end of the message about a pair without a mask, if its dates do not match either."""
    try:
        formats = [image_format(path)[:3] for path in images]
    except InputError as error:
        return f", and {error}"
    shown = " and ".join(f"{width}x{height} with {bands} band(s)" for height, width, bands in formats)
    return f", and its dates do not match: {shown}" if len({size[:2] for size in formats}) > 1 else ""


def _check_split(
    split: str,
    pairs: list[PairFiles],
    report: DataReport,
    copies: dict[str, list[tuple[str, Path]]],
    progress: bool,
    encoding: MaskEncoding | None,
) -> tuple[SplitReport, list[PairFiles]]:
    """Check the pairs of a split; return its statistics and the pairs without problems."""
    found = SplitReport(split, len(pairs), formats=[Counter() for _ in (pairs[0].images if pairs else ())])
    unreadable = {pair.mask: problem for pair in pairs if (problem := _problem(pair.mask))}
    counts: dict[Path, Counts] = {}
    try:
        found.encoding, counts = find_encoding([pair.mask for pair in pairs if pair.mask not in unreadable], encoding)
    except InputError as error:
        report.problems += str(error).splitlines()
    good: list[PairFiles] = []
    lacking: list[float] = []
    for pair in tqdm(pairs, f"checking {split}", unit="pair", dynamic_ncols=True, disable=not progress):
        problems, missing = _check_pair(pair, found, copies)
        problems += [unreadable[pair.mask]] if pair.mask in unreadable else []
        lacking += missing
        if not problems and pair.mask in counts:
            good.append(pair)
        report.problems += [problem for problem in problems if problem not in report.problems]
    unchanged, changed, unlabeled = (sum(kind) for kind in zip(*counts.values(), strict=True)) if counts else (0, 0, 0)
    found.changed = changed / max(1, unchanged + changed)
    found.unlabeled = unlabeled / max(1, unchanged + changed + unlabeled)
    found.unchanged_pairs = sum(not one[1] for one in counts.values())
    found.no_data = float(np.mean(lacking)) if lacking else 0.0
    for number, formats in enumerate(found.formats, 1):
        if len(formats) > 1:
            common = formats.most_common(1)[0][0]
            odd = ", ".join(f"{count} with {kind}" for kind, count in formats.items() if kind != common)
            report.problems.append(f"split '{split}': most images of date {number} have {common}, but {odd}")
    return found, good


def _check_pair(pair: PairFiles, found: SplitReport, copies: dict[str, list[tuple[str, Path]]]) -> tuple[list[str], list[float]]:
    """Add the images of a pair to the statistics and the copies; return its problems, and the fraction without data by image."""
    problems: list[str] = []
    lacking: list[float] = []
    sizes: dict[Path, tuple[int, int]] = {}
    for path, formats in zip(pair.images, found.formats, strict=True):
        try:
            height, width, bands, kind = image_format(path)
            sizes[path] = (height, width)
            # The range is arbitrary: images of more than 8 bits are only decoded and checked for NaN.
            _, valid = read_image_and_valid(path, bands, None if kind == "uint8" else (0.0, 1.0))
            lacking.append(0.0 if valid is None else float(1 - valid.mean()))
            formats[f"{bands} band(s) {kind}"] += 1
            copies.setdefault(file_sha256(path), []).append((found.name, path))
        except InputError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
    for path in (*pair.images[1:], pair.mask):
        with suppress(InputError):  # reported above
            sizes[path] = image_size(path)
            if mismatch := georeference_mismatch(pair.images[0], path):
                problems.append(mismatch)
            if path in pair.images and (mismatch := values_mismatch(pair.images[0], path)):
                problems.append(f"{mismatch}; bring them to one")
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{path.parent.name} {width}x{height}" for path, (height, width) in sizes.items())
        problems.append(f"{pair.images[0]}: the sizes of {pair.name} differ: {shown}")
    elif sizes:
        found.sizes[next(iter(sizes.values()))] += 1
    return problems, lacking


def _check_duplicates(copies: dict[str, list[tuple[str, Path]]], report: DataReport) -> None:
    within = 0
    for places in copies.values():
        splits = {split for split, _ in places}
        if len(splits) > 1:
            shown = "; ".join(f"{path} ({split})" for split, path in places[:4])
            report.problems.append(f"the same image in {len(splits)} splits: {shown}")
        else:
            within += len(places) - 1
    if within:
        report.notes.append(f"{within} image(s) are duplicates of another image of their split")


def _problem(mask: Path) -> str:
    """Return why a mask cannot be read; an empty string if it can."""
    try:
        read_gray(mask)
    except InputError as error:
        return str(error)
    return ""


def _shown(path: Path) -> UInt8:
    bands, kind = image_format(path)[2:]
    pixels, _ = read_image_and_valid(path, bands, None if kind == "uint8" else (0.0, 1.0))
    if pixels.dtype != np.uint8:  # contrast stretch between the 2nd and 98th percentile
        low, high = np.percentile(pixels, (2, 98))
        pixels = (255 * np.clip((pixels - low) / max(1e-12, high - low), 0, 1)).astype(np.uint8)
    return to_rgb(pixels.astype(np.uint8))


def _thumb(panel: UInt8) -> UInt8:
    small = Image.fromarray(panel)
    small.thumbnail((_THUMB, _THUMB))
    sheet = Image.new("RGB", (_THUMB, _THUMB), "white")
    sheet.paste(small)
    return np.asarray(sheet)
