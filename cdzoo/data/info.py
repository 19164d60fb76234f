"""`DatasetInfo`: description of a named data set, and how its files or samples are found."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cdzoo.data.layout import LAYOUTS, LISTS, Layout, find_layout, find_splits, list_split
from cdzoo.data.listing import SPLITS, PairFiles, matches, usable_pairs
from cdzoo.data.palette import RGB
from cdzoo.data.splits import RANDOM_SPLITS, random_split
from cdzoo.errors import ConfigError, InputError
from cdzoo.io.images import image_size
from cdzoo.names import check_known
from cdzoo.protocol import Protocol

if TYPE_CHECKING:
    from cdzoo.data.labels import Labels
    from cdzoo.data.sampler import Samples

Reader = Callable[[Path, str], list[PairFiles]]
WholeReader = Callable[[Path], list[PairFiles]]
EventReader = Callable[[Path, str, str], list[PairFiles]]
Generator = Callable[[str, "int | None"], "tuple[Samples, list[str]]"]

_LISTED = 8

FILE_HOSTS = "from the file hosts linked on the homepage (Google Drive, Baidu Disk; no scripted download)"


@dataclass(frozen=True)
class DatasetInfo:
    """A named data set.

    Attributes:
        name: Name, as in `--data`.
        title: Name given by its authors.
        description: One line: objects, region, years.
        resolution: Meters per pixel.
        splits: Number of samples of each official split; empty if there is none.
        image_size: Side of the images in pixels; None if it varies.
        protocols: Evaluation protocols; the first one is the default.
        license: License stated by the authors; `"not stated"` if it could not be confirmed.
        paper: Authors, journal and DOI.
        homepage: Where the authors publish it.
        files: Files to download from there.
        layout: Description of the folder on disk.
        citation: BibTeX entry.
        folders: Folder names of the dates and masks, if they are not one of `LAYOUTS`.
        layouts: Folders of two dates and of labels, if there are several of labels; the first that exists is read.
        lists: List files of a split, with {} for its name.
        split_at_random: Whether to use `random_split` unless the data have split folders or list files.
        split_parts: Parts of that split.
        task: Task of the labels, see `cdzoo.tasks`; like the classes, that of `labels` if they are given.
        class_names: Names of the classes of the task; in the default order if there are several.
        colors: Color of each class.
        labels: Reads the targets of the task; None for masks of change, and for generated samples.
        class_orders: Readers of the targets for other orders of the classes, by name, see `DataCfg.class_order`.
        bands: Number of bands of each date.
        fill_value: 8-bit value that all bands of all dates have where there are no data; None if there is no such value.
        copies: Wildcards of the names of augmented copies, which are left out.
        events: Names of the events that may be the test split, see `DataCfg.test_event`.
        event_reader: Returns the files of a split if an event is the test split: `event_reader(root, split, event)`.
        optional_splits: Folders that a split of `splits` may have; without them, the split does not exist in a copy.
        whole_layouts: Folders that a folder without splits has, which `whole_reader` reads.
        whole_reader: Returns all files of such a folder.
        reader: Returns the files of a split of the data set in a folder, for other layouts: `reader(root, split)`.
        readers: Readers for other numbers of bands than `reader` returns, by number of bands.
        generate: Returns samples and their names, for data sets without files: `generate(split, num_train)`.
    """

    name: str
    title: str
    description: str
    resolution: str
    splits: Mapping[str, int]
    image_size: int | None
    protocols: tuple[Protocol, ...]
    license: str = "not stated"
    paper: str = ""
    homepage: str = ""
    files: str = ""
    layout: str = "train/, val/ and test/, each with A/, B/ and label/"
    citation: str = ""
    folders: Layout | None = None
    layouts: tuple[Layout, ...] = ()
    lists: tuple[str, ...] = LISTS
    split_at_random: bool = False
    split_parts: tuple[str, ...] = RANDOM_SPLITS
    task: str = "binary"
    class_names: tuple[str, ...] = ()
    colors: tuple[RGB, ...] = ()
    labels: Labels | None = field(default=None, repr=False)
    class_orders: Mapping[str, Labels] = field(default_factory=dict, repr=False)
    bands: tuple[int, ...] = (3, 3)
    fill_value: int | None = None
    copies: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    event_reader: EventReader | None = field(default=None, repr=False)
    optional_splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    whole_layouts: tuple[Layout, ...] = ()
    whole_reader: WholeReader | None = field(default=None, repr=False)
    reader: Reader | None = field(default=None, repr=False)
    readers: Mapping[int, Reader] = field(default_factory=dict, repr=False)
    generate: Generator | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Take the task and the classes of the labels."""
        if self.labels is not None:
            for name in ("task", "class_names", "colors"):
                object.__setattr__(self, name, getattr(self.labels, name))

    @property
    def split_names(self) -> set[str]:
        """Names of the splits, official or random."""
        return set(self.split_parts if self.split_at_random else self.splits)

    def existing_splits(self, root: Path) -> list[str]:
        """Return the names of the splits that a copy of the data set has, in order; none if it is a folder without splits."""
        listed = find_splits(root, self.layouts, self.lists) if self.layouts else {}
        whole = self.layouts if not self.split_at_random and not listed else ()
        if find_layout(root, (*self.whole_layouts, *whole)):
            return []
        missing = [split for split, names in self.optional_splits.items() if not any((root / name).is_dir() for name in names)]
        return [split for split in SPLITS if split in (self.split_names - {*missing}) | {*listed}]

    def whole(self, root: Path) -> list[PairFiles]:
        """Return all pairs of a folder with labels of several classes and without splits.

        Raises:
            InputError: No layout matches, or a file is missing.
        """
        if self.whole_reader is not None:
            return self.whole_reader(root)
        return usable_pairs(list_split(root, layouts=self.layouts, dates=2))

    def labels_of(self, class_order: str | None) -> Labels | None:
        """Return what reads the targets, for an order of the classes; None for masks of change.

        Raises:
            ConfigError: There is no such order.
        """
        if class_order is None:
            return self.labels
        if class_order not in self.class_orders:
            known = f"it has {', '.join(self.class_orders)}" if self.class_orders else "its classes have one order"
            raise ConfigError(f"{self.title} has no class order '{class_order}'; {known}")
        return self.class_orders[class_order]

    def pairs(self, root: Path, split: str, bands: tuple[int, ...] = (3, 3), test_event: str | None = None) -> list[PairFiles]:
        """Return the files of one split, without augmented copies.

        Args:
            root: Folder of the data set.
            split: `"train"`, `"val"` or `"test"`.
            bands: Number of bands of each date that are wanted.
            test_event: Event that is the test split; by default the splits are the official ones.

        Raises:
            InputError: The folder does not exist or has another layout, or files are missing.
            ConfigError: There is no such event.
        """
        if not root.is_dir():
            raise InputError(f"{root}: no such folder; cdzoo data info {self.name} says how to get {self.title}")
        if test_event is not None:
            return self._event_pairs(root, split, test_event)
        if self.reader is not None:
            return self._without_copies(root, self.readers.get(bands[0], self.reader)(root, split))
        layouts = self.layouts or ((self.folders,) if self.folders else LAYOUTS)
        found: str | None = split
        if self.split_at_random and not find_splits(root, layouts, self.lists):
            found = None
        dates = 2 if self.layouts else None
        pairs = self._without_copies(root, usable_pairs(list_split(root, found, (), layouts, dates, self.lists)))
        return pairs if found else [pair for pair in pairs if random_split(pair.name, self.split_parts) == split]

    def _without_copies(self, root: Path, pairs: Sequence[PairFiles]) -> list[PairFiles]:
        """Return pairs without augmented copies, which a warning names."""
        kept = [pair for pair in pairs if not matches(pair.name, self.copies)]
        if len(kept) < len(pairs):
            names = [pair.name for pair in pairs if matches(pair.name, self.copies)]
            shown = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
            warnings.warn(f"{root}: {len(names)} augmented copies of other pairs are left out: {shown}", stacklevel=3)
        return kept

    def _event_pairs(self, root: Path, split: str, event: str) -> list[PairFiles]:
        if self.event_reader is None:
            raise ConfigError(f"{self.title} has no splits by event; remove test_event")
        check_known("unknown event", event, self.events)
        return self.event_reader(root, split, event)

    def verify(self, root: Path) -> list[str]:
        """Compare a folder with the official number of samples and image size; return one line per difference."""
        problems: list[str] = []
        for split, count in self.splits.items():
            try:
                found = self.pairs(root, split)
                height, width = image_size(image := found[0].images[0])
            except InputError as error:
                problems.append(str(error))
                continue
            if self.image_size is not None and (height, width) != (self.image_size, self.image_size):
                problems.append(
                    f"{image}: {width}x{height} pixels, officially {self.image_size}x{self.image_size}; use tiles on disk as a "
                    f"folder (--data FOLDER) with --protocol folder"
                )
            if len(found) != count:
                problems.append(
                    f"{root}: split '{split}' has {len(found)} pairs, officially {count}; complete it, or use the folder itself "
                    f"with --data {root} if it is another version"
                )
        return problems
