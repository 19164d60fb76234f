"""`open_data`: splits of a folder or a named data set, tiled according to a protocol."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdzoo.data.config import DataCfg
from cdzoo.data.folder import FilePairs
from cdzoo.data.generated import generated
from cdzoo.data.listing import PairFiles
from cdzoo.data.overlap import pair_hashes
from cdzoo.data.palette import RGB
from cdzoo.data.protocols import get_protocol
from cdzoo.data.scene_splits import SceneSplits, ground_notes
from cdzoo.data.source import FileSource, named
from cdzoo.data.tiles import TiledPairs
from cdzoo.data.unlabeled import UNLABELED, NoLabels, check_apart, folder_pairs, held_out_pairs, split_by_list, without_labels
from cdzoo.data.value_ranges import check_equal_values, with_ranges, with_trained_bands
from cdzoo.errors import ConfigError, InputError
from cdzoo.io.placement import is_vector
from cdzoo.protocol import Protocol

__all__ = ["DataCfg", "DataClasses", "Opened", "data_classes", "open_data"]


@dataclass(frozen=True)
class DataClasses:
    """What a data set declares about its labels and images.

    Attributes:
        task: Task of the labels, see `cdzoo.tasks`.
        class_names: Names of the classes of the task; empty for masks of change.
        colors: Color of each class; empty if none are declared.
        bands: Number of bands of each date; None for a folder, whose images may have any.
    """

    task: str = "binary"
    class_names: tuple[str, ...] = ()
    colors: tuple[RGB, ...] = ()
    bands: tuple[int, ...] | None = None


def data_classes(cfg: DataCfg) -> DataClasses:
    """Return the task and the classes of data without reading images or labels.

    Raises:
        ConfigError: An option does not belong to these data.
        InputError: The file of classes of a folder is wrong or missing.
    """
    info = named(cfg.data)
    if info is not None and info.generate is not None:
        return DataClasses(info.task, info.class_names, info.colors, info.bands)
    return _declared(FileSource(cfg))


def _declared(source: FileSource) -> DataClasses:
    bands = source.info.bands if source.info else None
    if source.labels is None:
        return DataClasses(bands=bands)
    return DataClasses(source.labels.task, source.labels.class_names, source.labels.colors, bands)


@dataclass
class Opened:
    """Splits of a data set.

    Attributes:
        protocol: Protocol of the data.
        splits: Samples of each split, with `names` and `has_change()`.
        notes: Messages about the origin of the splits, one line each.
        classes: Task and classes of the labels.
        cfg: Reading options, with ranges of values that were told from the images; None for generated data.
    """

    protocol: Protocol
    splits: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    classes: DataClasses = DataClasses()
    cfg: DataCfg | None = None

    @property
    def names(self) -> dict[str, list[str]]:
        """Names of the samples of each split; their hash is stored with scores."""
        return {split: list(samples.names) for split, samples in self.splits.items()}

    @functools.cached_property
    def hashes(self) -> dict[str, list[str]]:
        """Hashes of the content of the pairs of each split, see `cdzoo.data.overlap`; tiled images count once."""
        return {split: samples.hashes() for split, samples in self.splits.items()}


def open_data(
    cfg: DataCfg, splits: Sequence[str], bands: tuple[int, ...] = (3, 3), trained: Mapping[str, Any] | None = None
) -> Opened:
    """Open splits of a data set.

    If there is no validation split, it is taken from the training split (see `holdout_split`). From a folder without splits, a
    test split is taken first (see `holdout_test`), the same one in every command. Splits that are not requested are not read.

    Args:
        cfg: Data set and reading options.
        splits: Any of `"train"`, `"val"`, `"test"`; or `"all"` for all pairs of a folder without splits. `"unlabeled"` beside
            `"train"`: pairs whose masks are not used, see `DataCfg.labeled` and `DataCfg.unlabeled`.
        bands: Number of bands of each date.
        trained: Options of the data that weights were trained on, whose ranges of values images of more than 8 bits without
            one have.

    Raises:
        InputError: The data do not exist or cannot be used, the training split has no change, or splits share images.
        ConfigError: The protocol does not exist or belongs to another data set.
    """
    info = named(cfg.data)
    if info is not None and info.generate is not None:
        if UNLABELED in splits or cfg.labeled is not None:
            raise ConfigError(f"labeled, unlabeled and semi are for pairs in files; {cfg.data} is generated with its masks")
        made = {split: generated(cfg.data, split) for split in splits}
        notes = ["synthetic scenes", *(f"{split}: {len(samples)} generated pairs" for split, samples in made.items())]
        return Opened(get_protocol(cfg.protocol, info.name), made, notes, data_classes(cfg))
    source = FileSource(cfg, bands)
    opened = Opened(source.protocol, {}, source.notes, _declared(source))
    if source.is_cut:
        if cfg.unlabeled is not None:
            raise ConfigError("unlabeled is a folder of pairs that are read whole; of scenes, windows without a label are used")
        if cfg.labeled is not None and not is_vector(cfg.labeled):
            raise ConfigError(
                f"labeled={cfg.labeled}: of scenes, name the polygons of the area whose labels are used, such as labeled.gpkg"
            )
        _open_scenes(source, opened, splits, bands, trained)
    else:
        _open_pairs(source, opened, _pairs(source, splits, opened.notes), splits, bands, trained)
    if "train" in opened.splits and not opened.splits["train"].has_change():
        kind = "windows" if source.is_cut else "tiles" if source.protocol.tile else "pairs"
        raise InputError(
            f"{cfg.title}: no mask of the {len(opened.splits['train'])} training {kind} has changed pixels, so there is "
            f"nothing to learn; look at the data with: cdzoo data check {cfg.options.removeprefix('--data ')}"
        )
    return opened


def _open_pairs(
    source: FileSource,
    opened: Opened,
    pairs: dict[str, list[PairFiles]],
    splits: Sequence[str],
    bands: tuple[int, ...],
    trained: Mapping[str, Any] | None,
) -> None:
    """Add splits of pairs that are read whole."""
    cfg, info = source.cfg, source.info
    every = [pair for split in splits for pair in pairs[split]]
    cfg, told = with_trained_bands(cfg, every, bands, trained)
    opened.notes += told
    if info is None or info.fill_value is None:
        cfg, told = with_ranges(cfg, every, cfg.title, trained)
        opened.notes += told
    if cfg.equal_values and not cfg.is_one_range and info is None:
        check_equal_values(every, cfg.title)
    opened.cfg = cfg
    scalings = [cfg.scalings[min(date, 1)] for date in range(len(bands))]
    selected = [cfg.selected[min(date, 1)] for date in range(len(bands))]
    fill_value = info.fill_value if info else None
    if fill_value is not None and any(scaling.percentiles or scaling.decibels for scaling in scalings):
        raise ConfigError(f"{cfg.data} marks pixels without data by the value {fill_value}: scale it with value_range only")
    if cfg.val is not None and Path(cfg.val).resolve() == source.root.resolve():
        opened.notes.append("the validation pairs are the training pairs: scores do not measure generalization")
    elif len(splits) > 1:
        _check_disjoint(pairs)
    for split in splits:
        labels, encoding = (NoLabels(), None) if split == UNLABELED else (source.labels, cfg.encoding)
        samples = FilePairs(pairs[split], bands, None, encoding, labels, scalings, fill_value, selected)
        opened.splits[split] = TiledPairs(samples, source.protocol.tile) if source.protocol.tile else samples
        tiles = f" in {len(opened.splits[split])} tiles" if len(opened.splits[split]) != len(samples) else ""
        if split == UNLABELED:
            opened.notes.append(f"{split}: {len(samples)} pairs{tiles}, whose masks are not used")
            continue
        void = f", {samples.unlabeled:.2%} of the pixels without a label" if samples.unlabeled else ""
        kind = f"masks {samples.encoding.value}" if samples.encoding else f"classes {', '.join(samples.labels.class_names)}"
        opened.notes.append(f"{split}: {len(samples)} pairs{tiles}, {kind}{void}, from {source.origin(split)}")
        official = info.splits.get(split) if info and not cfg.test_event else None
        if official is not None and official != len(samples) and split == "test":
            opened.notes.append(f"not the official test split, which has {official} pairs: this one has {len(samples)}")
        if not samples.has_change() and split != "train":
            opened.notes.append(f"no mask of the {len(samples)} pairs of the split '{split}' has changed pixels")


def _open_scenes(
    source: FileSource, opened: Opened, splits: Sequence[str], bands: tuple[int, ...], trained: Mapping[str, Any] | None
) -> None:
    """Add splits of scenes, which are cut when they are read; validation pairs of a folder are pairs."""
    stored: list[str | None] = [*sorted(source.existing)]
    every = [pair for split in stored or [None] for pair in source.scenes(split)]
    source.cfg, chosen = with_trained_bands(source.cfg, every, bands, trained)
    source.cfg, told = with_ranges(source.cfg, every, source.cfg.title, trained)
    opened.notes += [*chosen, *told]
    opened.cfg = source.cfg
    own = [split for split in splits if split != "val" or source.cfg.val is None]
    cut = SceneSplits(source, bands)
    found = cut.samples(own)
    given = {split: samples for split, samples in found.items() if split in source.existing} or dict([*found.items()][:1])
    opened.notes += [*cut.notes, *ground_notes(given)]
    if len(given) > 1:
        _check_disjoint({split: [scene.files for scene in samples.scenes] for split, samples in given.items()})
    for split in own:
        opened.splits[split] = samples = found[split]
        if split == UNLABELED:
            opened.notes.append(f"{split}: {len(samples)} windows in training blocks, whose labels are not used")
            continue
        opened.notes.append(f"{split}: {samples.described}")
        if split != "train" and not samples.has_change():
            opened.notes.append(
                f"no label of the {len(samples)} windows of the split '{split}' has changed pixels; a smaller --block, or a "
                "larger --holdout, divides the ground otherwise"
            )
    if len(own) < len(splits):
        _open_pairs(source, opened, source.named_val(), ("val",), bands, trained)


def _pairs(source: FileSource, splits: Sequence[str], notes: list[str]) -> dict[str, list[PairFiles]]:
    """Return the files of each split; of the training split those that are labeled, and the others as `"unlabeled"`."""
    cfg = source.cfg
    wanted = [split for split in splits if split != UNLABELED]
    if UNLABELED in splits:
        source.unlabeled = {}
    pairs = source.pairs(wanted)
    rest: list[PairFiles] = []
    if cfg.labeled is not None and "train" in wanted:
        pairs["train"], rest = split_by_list(pairs["train"], cfg.labeled)
        notes.append(
            f"labeled: {len(pairs['train'])} of {len(pairs['train']) + len(rest)} training pairs, listed in {cfg.labeled}"
        )
    if UNLABELED not in splits:
        return pairs
    found = [*rest, *without_labels(source.unlabeled or {})]
    if cfg.unlabeled is not None:
        found += folder_pairs(cfg.unlabeled, source.layouts, len(source.bands), cfg.exclude, cfg.is_one_range)
    return pairs | {UNLABELED: check_apart(found, pairs["train"], held_out_pairs(source, pairs))}


def _check_disjoint(splits: dict[str, list[PairFiles]]) -> None:
    """Raise if two splits have a pair with the same images, whatever their names."""
    seen: dict[str, tuple[str, PairFiles]] = {}
    for split, pairs in splits.items():
        for pair, digest in zip(pairs, pair_hashes(pairs), strict=True):
            other_split, other = seen.setdefault(digest, (split, pair))
            if other_split != split:
                raise InputError(
                    f"{pair.images[-1]} ({split}) has the same content as {other.images[-1]} ({other_split}), and so have the "
                    f"other dates of these pairs; splits must not share pairs. See cdzoo data check; leave it out with --exclude"
                )
