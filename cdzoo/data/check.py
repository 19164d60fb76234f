"""Validation of a data set: all problems in one report, statistics, and a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cdzoo.data.check_report import DataReport
from cdzoo.data.check_scenes import check_scenes
from cdzoo.data.check_split import SplitCheck
from cdzoo.data.config import DataCfg
from cdzoo.data.listing import SPLITS, Listing, PairFiles, placed
from cdzoo.data.masks import MaskEncoding
from cdzoo.data.sheet import contact_sheet
from cdzoo.data.source import ALL, FileSource
from cdzoo.data.value_ranges import are_told
from cdzoo.errors import InputError
from cdzoo.io.images import image_format

_ROWS = 8


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
    if source.is_cut:
        return check_scenes(source, progress)
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
        one_range = same_values and not are_told(listing.pairs)
        check = SplitCheck(split, report, copies, progress, source.cfg.encoding, source.labels, one_range)
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
