"""`SplitReport` and `DataReport`: what `check_data` found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from PIL import Image

from cdzoo.data.masks import MaskEncoding
from cdzoo.io.reflectance import DateOffsets
from cdzoo.io.registration import Shift


@dataclass
class SplitReport:
    """Statistics of one split.

    Attributes:
        name: Name of the split; `all` for a folder without splits.
        pairs: Number of pairs with all images and a mask, or of windows of scenes.
        blocks: Number of blocks of ground of these windows; 0 for pairs.
        sizes: Number of pairs by (height, width).
        formats: For each date, number of images by format, such as `"3 band(s) uint8"`.
        encoding: Encoding of the masks; None if it could not be detected.
        changed: Fraction of changed pixels of those with a label, in [0, 1].
        unlabeled: Fraction of pixels without a label, in [0, 1].
        no_data: Fraction of pixels that an image declares to have no data, in [0, 1].
        unchanged_pairs: Number of pairs without change.
        classes: Fraction of the pixels of each class of each target; empty for masks of change.
        shifts: Shift between the dates of pairs of which it is more than two pixels, by name.
        resampled: Names of pairs of which a folder of bands is brought to the grid of the first date.
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
    resampled: list[str] = field(default_factory=list)
    offsets: dict[str, DateOffsets] = field(default_factory=dict)
    blocks: int = 0

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
