"""Validation of a data set: all problems in one report, statistics, and a contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from cdzoo.data.check_labels import LabelStatistics
from cdzoo.data.check_offsets import describe_offsets, pair_offsets
from cdzoo.data.config import DataCfg
from cdzoo.data.labels import Labels
from cdzoo.data.layout import SPLITS
from cdzoo.data.listing import Listing, PairFiles, placed
from cdzoo.data.masks import Counts, MaskEncoding, count_masks, read_values
from cdzoo.data.sheet import contact_sheet
from cdzoo.data.source import ALL, FileSource
from cdzoo.errors import InputError
from cdzoo.io.files import file_sha256
from cdzoo.io.georeference import georeference_mismatch
from cdzoo.io.images import image_format, image_size, read_image_and_valid
from cdzoo.io.progress import tqdm
from cdzoo.io.reflectance import DateOffsets
from cdzoo.io.registration import LIMIT, Shift, estimate_shift, registration_windows
from cdzoo.io.values import values_mismatch

_ROWS = 8
_MEASURED = 200  # number of pairs of a split whose shift is measured, about


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
        classes: Fraction of the pixels of each class of each target; empty for masks of change.
        shifts: Shift between the dates of pairs of which it is more than two pixels, by name.
        offsets: Which dates have the offset of Sentinel-2 reflectances, of pairs of more than 8 bits, by name.
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
    classes: dict[str, dict[str, float]] = field(default_factory=dict)
    shifts: dict[str, Shift] = field(default_factory=dict)
    offsets: dict[str, DateOffsets] = field(default_factory=dict)

    def count(self, unchanged: int, changed: int, unlabeled: int) -> None:
        """Set the fractions, given the numbers of pixels."""
        self.changed = changed / max(1, unchanged + changed)
        self.unlabeled = unlabeled / max(1, unchanged + changed + unlabeled)

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


def list_data(data: str | Path | DataCfg) -> dict[str, Listing]:
    """List the samples of each split, or of `all` for a folder without splits.

    Args:
        data: Folder of a data set, or a description of data.

    Raises:
        InputError: The folder does not exist, or no layout matches.
        ConfigError: An option does not belong to these data.
    """
    return _listings(FileSource(_described(data)))


def check_data(data: str | Path | DataCfg, progress: bool = True) -> DataReport:
    """Read every file of a data set and report all problems.

    Args:
        data: Folder of a data set, with or without splits, or a description of data.
        progress: Show a progress bar.

    Raises:
        InputError: The folder does not exist, or no layout matches.
        ConfigError: An option does not belong to these data.
    """
    source = FileSource(_described(data))
    report = DataReport()
    listings = _listings(source)
    copies: dict[str, list[tuple[str, Path]]] = {}  # split and path of each image, by its hash
    examples: list[tuple[PairFiles, MaskEncoding | None]] = []
    same_values = source.cfg.equal_values and (source.info is None or len(set(source.info.bands)) == 1)
    for split, listing in listings.items():
        report.problems += listing.problems
        report.notes += [note for note in listing.notes if "without a mask" not in note]
        listing = _placed(listing, source.cfg.label_attribute, report)
        if not listing.pairs:
            report.problems.append(f"{listing.root}: no pair with a mask")
        if listing.excluded:
            report.notes.append(f"excluded: {', '.join(listing.excluded)}")
        for name, images in listing.unlabeled.items():
            report.problems.append(f"{listing.root}: {name} has no mask{_date_mismatch(images)}")
        check = _Check(split, report, copies, progress, source.cfg.encoding, source.labels, same_values)
        found, good = check.run(listing.pairs)
        report.splits.append(found)
        if split in ("train", ALL) and (found.encoding or found.classes) and found.pairs and found.unchanged_pairs == found.pairs:
            report.problems.append(
                f"{source.root}: no mask of the split '{split}' has changed pixels, so there is nothing to learn"
            )
        examples += [(pair, found.encoding) for pair in good[:: max(1, len(good) * len(listings) // _ROWS)]]
    _check_duplicates(copies, report)
    if examples:
        report.sheet = contact_sheet(examples[:_ROWS], source.labels)
    return report


def _placed(listing: Listing, attribute: str | None, report: DataReport) -> Listing:
    """Return a listing whose pairs know what places their labels; files that cannot be read are reported with the images."""
    pairs = []
    for pair in listing.pairs:
        try:
            pairs.append(placed(pair, attribute))
        except InputError:
            pairs.append(pair)
    if count := sum(pair.placement is not None for pair in pairs):
        report.notes.append(f"{listing.root}: the labels of {count} pair(s) are brought to the grid of their images")
    return replace(listing, pairs=pairs)


def _date_mismatch(images: Sequence[Path]) -> str:
    """Return the end of the message about a pair without a mask, if its dates do not match either."""
    try:
        formats = [image_format(path)[:3] for path in images]
    except InputError as error:
        return f", and {error}"
    shown = " and ".join(f"{width}x{height} with {bands} band(s)" for height, width, bands in formats)
    return f", and its dates do not match: {shown}" if len({size[:2] for size in formats}) > 1 else ""


def _described(data: str | Path | DataCfg) -> DataCfg:
    return data if isinstance(data, DataCfg) else DataCfg(str(data))


def _listings(source: FileSource) -> dict[str, Listing]:
    """List the samples of each split; those of a named data set are complete, or its problems are listed."""
    if source.info is None:
        existing = source.existing
        names: list[str | None] = [split for split in SPLITS if split in existing] or [None]
        return {split or ALL: source.listing(split) for split in names}
    found: dict[str, Listing] = {}
    for split in source.info.existing_splits(source.root) or [ALL]:
        try:
            found[split] = Listing(source.root, source.read(None if split == ALL else split))
        except InputError as error:
            found[split] = Listing(source.root, problems=str(error).splitlines())
    return found


@dataclass
class _Check:
    """Checks the pairs of a split, adding to the report and to the hashes of images.

    Attributes:
        split: Name of the split.
        report: Report of the data set.
        copies: Split and path of each image, by its hash.
        progress: Show a progress bar.
        encoding: Declared encoding of the masks.
        labels: Reads the targets of other tasks.
        same_values: Whether the values of all dates must mean the same.
    """

    split: str
    report: DataReport
    copies: dict[str, list[tuple[str, Path]]]
    progress: bool
    encoding: MaskEncoding | None
    labels: Labels | None
    same_values: bool

    def run(self, pairs: list[PairFiles]) -> tuple[SplitReport, list[PairFiles]]:
        """Return the statistics of the split, and the pairs without problems."""
        found = SplitReport(self.split, len(pairs), formats=[Counter() for _ in (pairs[0].images if pairs else ())])
        usable, unusable = self._masks(found, pairs) if self.labels is None else self._classes(found, pairs, self.labels)
        good: list[PairFiles] = []
        lacking: list[float] = []
        every = max(1, len(pairs) // _MEASURED)
        for number, pair in enumerate(self._progress(pairs, "checking")):
            problems, missing = self._pair(pair, found, number % every == 0)
            problems += [unusable[pair.name]] if pair.name in unusable else []
            lacking += missing
            if not problems and pair.name in usable:
                good.append(pair)
            self.report.problems += [problem for problem in problems if problem not in self.report.problems]
        found.no_data = float(np.mean(lacking)) if lacking else 0.0
        if found.shifts:
            self.report.notes.append(_describe_shifts(found, len(pairs[::every])))
        self.report.notes += describe_offsets(self.split, found.offsets)
        for number, formats in enumerate(found.formats, 1):
            if len(formats) > 1:
                common = formats.most_common(1)[0][0]
                odd = ", ".join(f"{count} with {kind}" for kind, count in formats.items() if kind != common)
                self.report.problems.append(f"split '{self.split}': most images of date {number} have {common}, but {odd}")
        return found, good

    def _progress(self, pairs: list[PairFiles], what: str) -> tqdm[PairFiles]:
        return tqdm(pairs, f"{what} {self.split}", unit="pair", dynamic_ncols=True, disable=not self.progress)

    def _masks(self, found: SplitReport, pairs: list[PairFiles]) -> tuple[set[str], dict[str, str]]:
        """Read all masks of change; return those that can be used, and what is wrong with others."""
        unreadable = {pair.name: problem for pair in pairs if (problem := _problem(pair, self.encoding is not None))}
        readable = [pair for pair in pairs if pair.name not in unreadable]
        counts: dict[str, Counts] = {}
        try:
            masks, placements = [pair.mask for pair in readable], [pair.placement for pair in readable]
            found.encoding, counted = count_masks(masks, self.encoding, placements)
            counts = dict(zip((pair.name for pair in readable), counted, strict=True))
        except InputError as error:
            self.report.problems += str(error).splitlines()
        found.count(*map(sum, zip((0, 0, 0), *counts.values(), strict=True)))
        found.unchanged_pairs = sum(not one[1] for one in counts.values())
        return set(counts), unreadable

    def _classes(self, found: SplitReport, pairs: list[PairFiles], labels: Labels) -> tuple[set[str], dict[str, str]]:
        """Read all labels of several classes; return those that can be used, and what is wrong with others."""
        statistics = LabelStatistics(labels)
        wrong = {pair.name: problem for pair in self._progress(pairs, "labels of") if (problem := statistics.add(pair))}
        found.count(*statistics.counts)
        found.unchanged_pairs = len(pairs) - len(wrong) - statistics.changed_pairs
        found.classes = statistics.shares
        problems, notes = statistics.described(self.split)
        self.report.problems += problems
        self.report.notes += notes
        return {pair.name for pair in pairs if pair.name not in wrong}, wrong

    def _pair(self, pair: PairFiles, found: SplitReport, measure: bool) -> tuple[list[str], list[float]]:
        """Add the images of a pair to the statistics and copies; return its problems, and the fraction without data by image."""
        problems: list[str] = []
        lacking: list[float] = []
        sizes: dict[Path, tuple[int, int]] = {}
        pixels = []
        for path, formats in zip(pair.images, found.formats, strict=True):
            try:
                height, width, bands, kind = image_format(path)
                sizes[path] = (height, width)
                # The range is arbitrary: images of more than 8 bits are only decoded and checked for NaN.
                image, valid = read_image_and_valid(path, bands, None if kind == "uint8" else (0.0, 1.0))
                pixels.append(image if valid is None else np.where(valid[..., None], image, np.float32(np.nan)))
                lacking.append(0.0 if valid is None else float(1 - valid.mean()))
                formats[f"{bands} band(s) {kind}"] += 1
                self.copies.setdefault(file_sha256(path), []).append((found.name, path))
            except InputError as error:
                problems.append(str(error))
            except OSError as error:
                problems.append(f"{path}: cannot be read ({error.strerror})")
        for path in (*pair.images[1:], *(() if pair.placement else pair.labels)):
            with suppress(InputError):  # reported above
                sizes[path] = image_size(path)
                if mismatch := georeference_mismatch(pair.images[0], path):
                    problems.append(mismatch)
                if self.same_values and path in pair.images and (mismatch := values_mismatch(pair.images[0], path)):
                    problems.append(f"{mismatch}; bring them to one")
        if len(set(sizes.values())) > 1:
            shown = ", ".join(f"{path.parent.name} {width}x{height}" for path, (height, width) in sizes.items())
            problems.append(f"{pair.images[0]}: the sizes of {pair.name} differ: {shown}")
        elif sizes:
            found.sizes[next(iter(sizes.values()))] += 1
            if measure and len(pixels) == 2:
                windows = registration_windows(*next(iter(sizes.values())))
                shift = estimate_shift((pixels[0][window], pixels[1][window]) for window in windows)
                if shift is not None and shift.size > LIMIT:
                    found.shifts[pair.name] = shift
                if self.same_values and (offsets := pair_offsets(pixels)) is not None:
                    found.offsets[pair.name] = offsets
        return problems, lacking


def _describe_shifts(split: SplitReport, measured: int) -> str:
    """Return the note about the pairs of a split whose dates are shifted, the largest shifts first."""
    largest = sorted(split.shifts.items(), key=lambda item: -item[1].size)[:_ROWS]
    shown = "; ".join(f"{name} {shift.text}" for name, shift in largest) + (", ..." if len(split.shifts) > _ROWS else "")
    return (
        f"split '{split.name}': in {len(split.shifts)} of {measured} pairs examined, the content of the second date is shifted "
        f"by more than {LIMIT:g} px, which shows as change: {shown}"
    )


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


def _problem(pair: PairFiles, indexed: bool) -> str:
    """Return why the mask of a pair cannot be read; an empty string if it can."""
    try:
        read_values(pair.mask, pair.placement, indexed)
    except InputError as error:
        return str(error)
    return ""
