"""`SplitCheck`: validation of all files of one split."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cdzoo.data.check_labels import LabelStatistics
from cdzoo.data.check_offsets import describe_offsets, pair_offsets
from cdzoo.data.check_report import DataReport, SplitReport
from cdzoo.data.labels import Labels
from cdzoo.data.listing import PairFiles, describe_resampled
from cdzoo.data.mask_values import Counts, read_values
from cdzoo.data.masks import MaskEncoding, count_masks
from cdzoo.data.value_ranges import describe_ranges
from cdzoo.errors import InputError
from cdzoo.io.band_files import is_resampled
from cdzoo.io.files import file_sha256
from cdzoo.io.georeference import georeference_mismatch
from cdzoo.io.images import image_files, image_format, image_size, read_image_and_valid
from cdzoo.io.progress import tqdm
from cdzoo.io.registration import LIMIT, estimate_shift, registration_windows
from cdzoo.io.values import values_mismatch

_NAMED = 8  # shifted pairs
_MEASURED = 200  # number of pairs of a split whose shift is measured, about


@dataclass
class SplitCheck:
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
            self.report.notes.append(describe_shifts(found, len(pairs[::every])))
        if found.resampled:
            self.report.notes.append(f"split '{self.split}': {describe_resampled(found.resampled)}")
        self.report.notes += describe_ranges(good, f"split '{self.split}'")
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
                as_stored = None if kind == "uint8" else (0.0, 1.0)
                image, valid = read_image_and_valid(path, bands, as_stored, like=pair.images[0])
                pixels.append(image if valid is None else np.where(valid[..., None], image, np.float32(np.nan)))
                lacking.append(0.0 if valid is None else float(1 - valid.mean()))
                formats[f"{bands} band(s) {kind}"] += 1
                digest = "".join(map(file_sha256, image_files(path)))
                self.copies.setdefault(digest, []).append((found.name, path))
            except InputError as error:
                problems.append(str(error))
            except OSError as error:
                problems.append(f"{path}: cannot be read ({error.strerror})")
        for path in (*pair.images[1:], *(() if pair.placement else pair.labels)):
            with suppress(InputError):  # reported above
                if path in pair.images and is_resampled(path, pair.images[0]):
                    sizes[path] = image_size(pair.images[0])
                    found.resampled.append(pair.name)
                    continue
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


def describe_shifts(split: SplitReport, measured: int) -> str:
    """Return the note about the pairs of a split whose dates are shifted, the largest shifts first."""
    largest = sorted(split.shifts.items(), key=lambda item: -item[1].size)[:_NAMED]
    shown = "; ".join(f"{name} {shift.text}" for name, shift in largest) + (", ..." if len(split.shifts) > _NAMED else "")
    return (
        f"split '{split.name}': in {len(split.shifts)} of {measured} pairs examined, the content of the second date is shifted "
        f"by more than {LIMIT:g} px, which shows as change: {shown}"
    )


def _problem(pair: PairFiles, indexed: bool) -> str:
    """Return why the mask of a pair cannot be read; an empty string if it can."""
    try:
        read_values(pair.mask, pair.placement, indexed)
    except InputError as error:
        return str(error)
    return ""
