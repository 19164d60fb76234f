"""Validation of scenes: every window of every split is read."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.check_labels import LabelStatistics
from cdzoo.data.check_offsets import describe_offsets, pair_offsets
from cdzoo.data.check_report import DataReport, SplitReport
from cdzoo.data.check_split import describe_shifts
from cdzoo.data.labels import MaskLabels
from cdzoo.data.listing import SPLITS
from cdzoo.data.scene_samples import SceneSamples
from cdzoo.data.scene_sheet import scene_sheet
from cdzoo.data.scene_splits import SceneSplits, ground_notes
from cdzoo.data.source import FileSource
from cdzoo.errors import CdzooError, InputError
from cdzoo.io.progress import tqdm
from cdzoo.io.registration import LIMIT, estimate_shift, registration_windows
from cdzoo.tiling import Window

_SAMPLE = 512  # longest side of the overview in which offsets are looked for


def check_scenes(source: FileSource, progress: bool = True) -> DataReport:
    """Read every window of scenes and report all problems, see `check_data`."""
    report = DataReport()
    existing = source.existing
    cut = SceneSplits(source, (None, None))
    try:
        wanted = {*SPLITS} if not existing else {*existing} | ({"val"} if "train" in existing else set())
        splits = cut.samples([split for split in SPLITS if split in wanted])
    except InputError as error:
        report.problems += str(error).splitlines()
        return report
    except CdzooError as error:
        report.problems.append(str(error))
        return report
    given = {split: samples for split, samples in splits.items() if split in existing} or dict([*splits.items()][:1])
    report.notes += [*cut.notes, *ground_notes(given)]
    measured = set[str]()
    for split, samples in splits.items():
        report.splits.append(_check(split, samples, report, measured, progress, source.cfg.equal_values))
    found = {split.name: split for split in report.splits}
    if "train" in found and found["train"].unchanged_pairs == found["train"].pairs and not report.problems:
        report.problems.append(f"{source.root}: no label of the split 'train' has changed pixels, so there is nothing to learn")
    if not report.problems:
        report.sheet = scene_sheet(splits)
    return report


def _check(
    split: str, samples: SceneSamples, report: DataReport, measured: set[str], progress: bool, equal_values: bool
) -> SplitReport:
    """Read the windows of a split; measure the scenes that were not measured yet."""
    found = SplitReport(split, len(samples), formats=[Counter() for _ in samples.scenes[0].files.images])
    found.blocks = len({*samples.blocks})
    found.encoding = samples.labels.encoding if isinstance(samples.labels, MaskLabels) else None
    used = sorted({index for index, _ in samples.cells})
    for index in used:
        for formats, reader in zip(found.formats, samples.opened(index), strict=True):
            formats[reader.format] += 1
        if (name := samples.scenes[index].files.name) not in measured:
            measured.add(name)
            _measure(samples, index, found, equal_values)
    statistics, counts, missing = LabelStatistics(samples.labels), np.zeros(3, np.int64), list[float]()
    bar = tqdm(samples.cells, f"checking {split}", unit="window", dynamic_ncols=True, disable=not progress)
    for index, cell in bar:
        found.sizes[cell.window.height, cell.window.width] += 1
        try:
            counts += (counted := _count(samples, index, cell.window, statistics if found.encoding is None else None, missing))
            found.unchanged_pairs += not counted[1]
        except InputError as error:
            report.problems += [str(error)] if str(error) not in report.problems else []
    found.count(*counts.tolist())
    found.no_data = float(np.mean(missing)) if missing else 0.0
    if found.encoding is None:
        found.classes = statistics.shares
        problems, notes = statistics.described(split)
        report.problems += problems
        report.notes += notes
    if found.shifts:
        report.notes.append(describe_shifts(found, len(used)))
    report.notes += describe_offsets(split, found.offsets)
    return found


def _count(
    samples: SceneSamples, index: int, window: Window, statistics: LabelStatistics | None, missing: list[float]
) -> npt.NDArray[np.int64]:
    """Return the number of unchanged, changed and unlabeled pixels of the part of a window within its scene."""
    scene, labels = samples.scenes[index], samples.labels
    rows, columns = (
        slice(max(0, span.start), min(length, span.stop))
        for span, length in zip(window.slices, (scene.grid.height, scene.grid.width), strict=True)
    )
    valid = np.logical_and.reduce([reader.read(rows, columns)[1] for reader in samples.opened(index)])
    missing.append(float(1 - valid.mean()))
    part = scene.grid.part(rows, columns)
    if statistics is not None:
        if problem := statistics.add(scene.placed(part)):
            raise InputError(problem)
    values = scene.targets(labels, part)[labels.main]
    unchanged, unlabeled = np.count_nonzero(values == 0), np.count_nonzero(values == IGNORE_INDEX)
    return np.array([unchanged, values.size - unchanged - unlabeled, unlabeled], np.int64)


def _measure(samples: SceneSamples, index: int, found: SplitReport, equal_values: bool) -> None:
    """Add the shift between the dates of a scene, and their offsets, to a report."""
    scene, readers = samples.scenes[index], samples.opened(index)

    def known(pixels: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        return np.where(valid[..., None], pixels, np.float32(np.nan))

    with suppress(InputError):  # reported for its window
        windows = registration_windows(scene.grid.height, scene.grid.width)
        shift = estimate_shift(tuple(known(*reader.read(*window)) for reader in readers[:2]) for window in windows)  # type: ignore[misc]
        if shift is not None and shift.size > LIMIT:
            found.shifts[scene.files.name] = shift
        step = max(1, -(-max(scene.grid.height, scene.grid.width) // _SAMPLE))
        if equal_values and (offsets := pair_offsets([known(*reader.overview(step)) for reader in readers[:2]])) is not None:
            found.offsets[scene.files.name] = offsets
