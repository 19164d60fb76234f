"""Statistics of labels of several classes: pixels of each class, undeclared values and contradictions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.labels import Labels
from cdzoo.data.listing import PairFiles
from cdzoo.data.mask_values import Histogram, count_values
from cdzoo.errors import InputError


@dataclass
class LabelStatistics:
    """Pixels of the labels of a split.

    Attributes:
        labels: Reads the targets.
        histograms: Number of pixels of each of the 256 values of each target.
        disagreements: Number of pixels and of pairs, and one of the pairs, of each kind of contradiction.
        changed_pairs: Number of pairs with change.
    """

    labels: Labels
    histograms: dict[str, Histogram] = field(default_factory=dict)
    disagreements: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    changed_pairs: int = 0

    def add(self, pair: PairFiles) -> str:
        """Count the labels of a pair; return why they cannot be used, or an empty string."""
        try:
            maps = self.labels.load(pair)
        except InputError as error:
            return str(error)
        if len({values.shape for values in maps.values()}) > 1:
            return f"{pair.mask}: the label files of {pair.name} differ in size"
        for kind, number in self.labels.disagreements(maps).items():
            if number:
                pixels, pairs, name = self.disagreements.get(kind, (0, 0, pair.name))
                self.disagreements[kind] = pixels + number, pairs + 1, name
        for target, values in self.labels.targets(maps).items():
            found = count_values(values)
            self.histograms[target] = self.histograms.get(target, np.zeros(256, np.int64)) + found
            self.changed_pairs += target == self.labels.main and bool(found[1:IGNORE_INDEX].any())
        return ""

    @property
    def counts(self) -> tuple[int, int, int]:
        """Number of unchanged, changed and ignored pixels."""
        histogram = self.histograms.get(self.labels.main, np.zeros(256, np.int64))
        return int(histogram[0]), int(histogram[1:IGNORE_INDEX].sum()), int(histogram[IGNORE_INDEX])

    @property
    def shares(self) -> dict[str, dict[str, float]]:
        """Fraction of the pixels of each value of each target, by names; `ignored` for 255 if there are any."""
        found: dict[str, dict[str, float]] = {}
        names = self.labels.value_names()
        for target, histogram in self.histograms.items():
            part = histogram / max(1, histogram.sum())
            found[target] = dict(zip(names[target], part.tolist(), strict=False))
            if part[IGNORE_INDEX]:
                found[target]["ignored"] = float(part[IGNORE_INDEX])
        return found

    def described(self, split: str) -> tuple[list[str], list[str]]:
        """Return one line for each contradiction: those that cannot be meant, and those that data sets are known to have."""
        lines: tuple[list[str], list[str]] = [], []
        for kind, (pixels, pairs, name) in self.disagreements.items():
            line = f"split '{split}': {pixels} pixel(s) of {pairs} pair(s) are {kind}, such as in {name}"
            lines[kind in self.labels.tolerated].append(line)
        return lines
