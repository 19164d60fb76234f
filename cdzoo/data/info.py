"""`DatasetInfo`: description of a named data set, and how its files or samples are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cdzoo.data.layout import LAYOUTS, Layout, PairFiles, find_splits, list_split, usable_pairs
from cdzoo.data.splits import RANDOM_SPLITS, random_split
from cdzoo.errors import InputError
from cdzoo.io.images import image_size
from cdzoo.protocol import Protocol

if TYPE_CHECKING:
    from cdzoo.data.sampler import Samples

Reader = Callable[[Path, str], list[PairFiles]]
Generator = Callable[[str, "int | None"], "tuple[Samples, list[str]]"]

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
        task: Task that the targets are made for, see `cdzoo.tasks`.
        class_names: Name of each class, as the task expects them; empty for those of the task.
        folders: Folder names of the dates and masks, if they are not one of `LAYOUTS`.
        split_at_random: Whether to use `random_split` unless the data have split folders or list files.
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
    task: str = "binary"
    class_names: tuple[str, ...] = ()
    folders: Layout | None = None
    split_at_random: bool = False
    reader: Reader | None = field(default=None, repr=False)
    readers: Mapping[int, Reader] = field(default_factory=dict, repr=False)
    generate: Generator | None = field(default=None, repr=False)

    @property
    def split_names(self) -> set[str]:
        """Names of the splits, official or random."""
        return set(RANDOM_SPLITS if self.split_at_random else self.splits)

    def pairs(self, root: Path, split: str, bands: tuple[int, ...] = (3, 3)) -> list[PairFiles]:
        """Return the files of one split.

        Args:
            root: Folder of the data set.
            split: `"train"`, `"val"` or `"test"`.
            bands: Number of bands of each date that are wanted.

        Raises:
            InputError: The folder does not exist or has another layout, or files are missing.
        """
        if not root.is_dir():
            raise InputError(f"{root}: no such folder; cdzoo data info {self.name} says how to get {self.title}")
        if self.reader is not None:
            return self.readers.get(bands[0], self.reader)(root, split)
        layouts = (self.folders,) if self.folders else LAYOUTS
        if self.split_at_random and not find_splits(root, layouts):
            return [pair for pair in usable_pairs(list_split(root, layouts=layouts)) if random_split(pair.name) == split]
        return usable_pairs(list_split(root, split, layouts=layouts))

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
