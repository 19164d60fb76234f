"""`Labels`: how the targets of a task are read from the label files of a sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.listing import PairFiles
from cdzoo.data.mask_values import Counts
from cdzoo.data.masks import MaskEncoding, read_mask
from cdzoo.data.palette import RGB, UNDEFINED, Palette
from cdzoo.errors import InputError
from cdzoo.io.images import UInt8

Maps = dict[str, UInt8]
"""Maps (H, W) by name."""

_EQUAL = "changed in the mask, with equal classes"
_UNGRADED, _UNBUILT = "a building before, without a grade after", "graded after, without a building before"
_THREADS = 4  # that decode labels
_LISTED = 8


class Labels(ABC):
    """Reads the targets of a sample from its label files.

    Attributes:
        task: Task whose targets are read, see `cdzoo.tasks`.
        class_names: Names of the classes of the task.
        colors: Color of each of these classes; empty if none are declared.
        main: Target that tells where there is change.
        tolerated: Contradictions that correct labels may have, see `disagreements`.
        folders: Target in each folder of labels of a folder of one's own, see `cdzoo.data.classes`.
    """

    task: str
    class_names: tuple[str, ...]
    colors: tuple[RGB, ...] = ()
    main: str = "mask"
    tolerated: frozenset[str] = frozenset()
    folders: ClassVar[dict[str, str]] = {"label": "mask"}

    @abstractmethod
    def load(self, pair: PairFiles) -> Maps:
        """Read the label files as maps of classes, 255 for pixels without a label.

        Raises:
            InputError: A file is missing or damaged, or has values or colors that are not declared.
        """

    @abstractmethod
    def targets(self, maps: Maps) -> Maps:
        """Return the targets of the task, given the maps of the files."""

    def disagreements(self, maps: Maps) -> dict[str, int]:
        """Return the number of pixels of each kind of contradiction between the maps of the files."""
        return {}

    def read(self, pair: PairFiles) -> Maps:
        """Read the targets (H, W) uint8 of a sample, 255 for ignored pixels.

        Raises:
            InputError: A file is missing or damaged, or has values or colors that are not declared.
        """
        return self.targets(self.load(pair))

    def value_names(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the values of each target from 0."""
        return {"mask": ("no change", "change")}

    def count(self, pairs: Sequence[PairFiles]) -> list[Counts]:
        """Read the labels of all samples; return the numbers of unchanged, changed and ignored pixels of each.

        Raises:
            InputError: Labels cannot be read, or have undeclared values; up to eight files are named.
        """
        with ThreadPoolExecutor(_THREADS) as pool:
            results = list(pool.map(self._count, pairs))
        if problems := [str(result) for result in results if isinstance(result, InputError)]:
            more = f"\nand {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
            raise InputError("\n".join(problems[:_LISTED]) + more)
        return [result for result in results if not isinstance(result, InputError)]

    def _count(self, pair: PairFiles) -> Counts | InputError:
        try:
            values = self.read(pair)[self.main]
        except InputError as error:
            return error
        unchanged, ignored = np.count_nonzero(values == 0), np.count_nonzero(values == IGNORE_INDEX)
        return int(unchanged), int(values.size - unchanged - ignored), int(ignored)


@dataclass(frozen=True)
class MaskLabels(Labels):
    """Masks of change: the target `mask` of {0, 1, 255}.

    Attributes:
        encoding: Encoding of the masks.
    """

    encoding: MaskEncoding
    task = "binary"
    class_names = ()

    def load(self, pair: PairFiles) -> Maps:
        """Read the mask."""
        return {"mask": read_mask(pair.mask, self.encoding, pair.placement)}

    def targets(self, maps: Maps) -> Maps:
        """Return the mask."""
        return maps


@dataclass(frozen=True)
class ClassMap(Labels):
    """One map of K - 1 kinds of change, 0 for no change: the target `mask`.

    Attributes:
        class_names: "no change", then the kinds of change.
        palette: Meaning of the files: 0 to K - 1, 255.
        colors: Color of each class.
    """

    class_names: tuple[str, ...]
    palette: Palette
    colors: tuple[RGB, ...] = ()
    task = "multiclass"

    def load(self, pair: PairFiles) -> Maps:
        """Read the map."""
        return {"mask": self.palette.read(pair.mask, pair.placement)}

    def targets(self, maps: Maps) -> Maps:
        """Return the map."""
        return maps

    def value_names(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the classes."""
        return {"mask": self.class_names}


@dataclass(frozen=True)
class LandCover(Labels):
    """Two maps of land cover, and optionally a mask of change: the targets `mask`, `semantic_t1` and `semantic_t2`.

    Label files of a sample: the map of each date, then the mask if there is one. Without a mask, a pixel is changed if it has a
    class at any date, or different classes if they are given everywhere. In the targets, 0 is an unchanged pixel without a class;
    a changed one is 255 at a date without a class.

    Attributes:
        class_names: Classes of land cover, 1 to K in maps and targets.
        palette: Meaning of the maps: 0 for no class, 1 to K, 255 for pixels without a label.
        colors: Color of each class.
        everywhere: Whether unchanged pixels have classes, too; 0 is then a pixel without a label.
        change: Encoding of the mask of change; 0/1 or 0/255 by default.
    """

    class_names: tuple[str, ...]
    palette: Palette
    colors: tuple[RGB, ...] = ()
    everywhere: bool = False
    change: MaskEncoding | None = None
    task = "semantic"
    tolerated = frozenset((_EQUAL,))
    folders: ClassVar[dict[str, str]] = {"labels1": "semantic_t1", "labels2": "semantic_t2", "change": "mask"}

    def load(self, pair: PairFiles) -> Maps:
        """Read the maps, and the mask if there is one."""
        first, second, *masks = pair.labels
        maps = {"t1": self.palette.read(first, pair.placement), "t2": self.palette.read(second, pair.placement)}
        return maps | ({"change": read_mask(masks[0], self.change, pair.placement)} if masks else {})

    def targets(self, maps: Maps) -> Maps:
        """Return the mask and the classes of each date."""
        dates = {name: maps[name] for name in ("t1", "t2")}
        if "change" in maps:
            mask = maps["change"].copy()
        else:
            first, second = dates.values()
            if self.everywhere:
                changed, void = first != second, ~(_known(first) & _known(second))
            else:
                changed, void = (first > 0) | (second > 0), (first == IGNORE_INDEX) | (second == IGNORE_INDEX)
            mask = np.where(void, np.uint8(IGNORE_INDEX), changed.astype(np.uint8))
        targets = {"mask": mask}
        for name, classes in dates.items():
            # Scores must not take a changed pixel without a class for an unchanged one.
            missing = np.where(mask == 0, np.uint8(0), np.uint8(IGNORE_INDEX))
            targets[f"semantic_{name}"] = np.where(_known(classes), classes, missing)
        return targets

    def disagreements(self, maps: Maps) -> dict[str, int]:
        """Count the pixels in which maps and mask contradict each other."""
        first, second = (_known(maps[name]) for name in ("t1", "t2"))
        valid = (maps["t1"] != IGNORE_INDEX) & (maps["t2"] != IGNORE_INDEX)
        mask = maps.get("change")
        if mask is None:
            return {"changed, with a class at one date only": int(np.count_nonzero((first != second) & valid))}
        changed, unchanged = mask == 1, mask == 0
        found = {"changed in the mask, without a class at both dates": changed & valid & ~(first & second)}
        if self.everywhere:
            both = first & second
            found["unchanged in the mask, with different classes"] = unchanged & both & (maps["t1"] != maps["t2"])
            found[_EQUAL] = changed & both & (maps["t1"] == maps["t2"])
        else:
            found["unchanged in the mask, with a class"] = unchanged & (first | second)
        return {kind: int(np.count_nonzero(where)) for kind, where in found.items()}

    def value_names(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the classes of each date."""
        classes = ("no class", *self.class_names)
        return {"mask": ("no change", "change"), "semantic_t1": classes, "semantic_t2": classes}


@dataclass(frozen=True)
class TransitionMap(LandCover):
    """Land cover whose label file may be one map of transitions between classes instead.

    Attributes:
        transitions: Classes of both dates, from 1, of each class of the map of transitions from 1.
        transition_palette: Meaning of that map: 0 for no change, then the transitions, 255 for pixels without a label.
    """

    transitions: tuple[tuple[int, int], ...] = ()
    transition_palette: Palette = field(default_factory=lambda: Palette("transitions"))

    def load(self, pair: PairFiles) -> Maps:
        """Read a map of each date, or one of transitions as one of each date."""
        if pair.more:
            return super().load(pair)
        found = self.transition_palette.read(pair.mask, pair.placement)
        tables = np.full((2, 256), IGNORE_INDEX, np.uint8)
        tables[:, : len(self.transitions) + 1] = np.transpose([(0, 0), *self.transitions])
        return {f"t{date}": table[found] for date, table in enumerate(tables, 1)}


@dataclass(frozen=True)
class Grades(Labels):
    """A map of damage grades after an event, and optionally one of buildings before it: the targets `building` and `damage`.

    Label files of a sample: the grades, then the buildings if there are any. Without them, buildings are where there is a grade.

    Attributes:
        class_names: Grades, 1 to K in maps and targets.
        palette: Meaning of the map of grades: 0 for no building, 1 to K, 255 for pixels without a label.
        colors: Color of each grade.
        buildings: Encoding of the map of buildings; 0/1 or 0/255 by default.
    """

    class_names: tuple[str, ...]
    palette: Palette
    colors: tuple[RGB, ...] = ()
    buildings: MaskEncoding | None = None
    task = "damage"
    main = "building"
    tolerated = frozenset((_UNGRADED, _UNBUILT))
    folders: ClassVar[dict[str, str]] = {"label": "damage", "building": "building"}

    def load(self, pair: PairFiles) -> Maps:
        """Read the grades, and the buildings if there are any."""
        grades, *buildings = pair.labels
        maps = {"damage": self.palette.read(grades, pair.placement)}
        return maps | ({"building": read_mask(buildings[0], self.buildings, pair.placement, True)} if buildings else {})

    def targets(self, maps: Maps) -> Maps:
        """Return buildings and grades."""
        damage = maps["damage"]
        building = np.where(damage == IGNORE_INDEX, damage, (damage > 0).astype(np.uint8))
        return {"building": maps.get("building", building), "damage": damage}

    def disagreements(self, maps: Maps) -> dict[str, int]:
        """Count the pixels in which buildings and grades contradict each other."""
        if "building" not in maps:
            return {}
        building, graded = _known(maps["building"]), _known(maps["damage"])
        labeled = (maps["building"] != IGNORE_INDEX) & (maps["damage"] != IGNORE_INDEX)
        return {
            _UNGRADED: int(np.count_nonzero(building & ~graded & labeled)),
            _UNBUILT: int(np.count_nonzero(graded & ~building & labeled)),
        }

    def value_names(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the grades."""
        return {"building": ("no building", "building"), "damage": ("no building", *self.class_names)}


def _known(classes: UInt8) -> npt.NDArray[np.bool_]:
    """Return where a map has a class."""
    return np.asarray((classes > 0) & (classes < UNDEFINED))
