"""Data sets of image files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.datasets import known_layouts
from cdzoo.data.labels import Labels, MaskLabels
from cdzoo.data.layout import list_split
from cdzoo.data.listing import PairFiles, usable_pairs
from cdzoo.data.masks import MaskEncoding, count_masks
from cdzoo.data.overlap import pair_hashes
from cdzoo.data.sample import Sample
from cdzoo.io.images import Valid, image_size
from cdzoo.io.scaling import Scaling


class FilePairs(Dataset[Sample]):
    """Samples read from files: images (bands, H, W), targets (H, W) int64: `target["mask"]` in {0, 1, 255}, or those of `labels`.

    Images are uint8, or float32 if they are scaled. Pixels without a label, or for which a date is declared to have no data, are
    255 in the targets. All masks are read first.

    Args:
        pairs: Files of the samples.
        bands: Number of bands of each date.
        value_range: (min, max) mapped to [0, 1]; required for images of more than 8 bits.
        encoding: Encoding of the masks; detected by default.
        labels: Reads the targets of another task than change.
        scalings: Scaling of each date, instead of `value_range`.
        fill_value: 8-bit value that all bands of all dates have where there are no data.
        selected: Bands to read of each date, by number from 1 or by name; None for all.

    Attributes:
        encoding: Encoding of the masks; None for other labels.
        unlabeled: Fraction of the pixels without a label, in [0, 1].

    Raises:
        InputError: A mask cannot be read, or the masks have different encodings or undeclared values.
    """

    def __init__(
        self,
        pairs: Sequence[PairFiles],
        bands: tuple[int, ...] = (3, 3),
        value_range: tuple[float, float] | None = None,
        encoding: MaskEncoding | None = None,
        labels: Labels | None = None,
        scalings: Sequence[Scaling] | None = None,
        fill_value: int | None = None,
        selected: Sequence[Sequence[int | str] | None] | None = None,
    ) -> None:
        self.pairs = list(pairs)
        self.bands = bands
        self.scalings = tuple(scalings) if scalings is not None else (Scaling(value_range),) * len(bands)
        self.fill_value = fill_value
        self.selected = selected or (None,) * len(bands)
        self.encoding: MaskEncoding | None = None
        if labels is None:
            masks, placements = [pair.mask for pair in self.pairs], [pair.placement for pair in self.pairs]
            self.encoding, counts = count_masks(masks, encoding, placements)
            self.labels: Labels = MaskLabels(self.encoding)
        else:
            self.labels, counts = labels, labels.count(self.pairs)
        self._changed = any(changed for _, changed, _ in counts)
        self.unlabeled = sum(count[2] for count in counts) / max(1, sum(map(sum, counts)))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Return one sample.

        Raises:
            InputError: A file is damaged, or labels have values that are not declared.
        """
        pair = self.pairs[index]
        targets = self.labels.read(pair)
        images, masks = [], []
        for path, bands, scaling, select in zip(pair.images, self.bands, self.scalings, self.selected, strict=True):
            pixels, valid = scaling.read(path, bands, select, pair.images[0])
            images.append(pixels)
            masks += [] if valid is None else [valid]
        masks += [] if self.fill_value is None else [self._filled(images)]
        for values in targets.values():
            for valid in masks:
                values[~valid] = IGNORE_INDEX
        target = {name: torch.from_numpy(values).long() for name, values in targets.items()}
        return Sample(tuple(torch.from_numpy(pixels).permute(2, 0, 1) for pixels in images), target, pair.name)

    def _filled(self, images: Sequence[npt.NDArray[Any]]) -> Valid:
        """Return where a date has other values than the fill value."""
        other = np.zeros(images[0].shape[:2], np.bool_)
        for pixels, scaling in zip(images, self.scalings, strict=True):
            low, high = scaling.value_range or (0.0, 1.0)
            fill = pixels.dtype.type((np.float32(self.fill_value) - low) / (high - low))
            other |= (pixels != fill).any(-1)
        return other

    @property
    def names(self) -> list[str]:
        """Names of the samples in order."""
        return [pair.name for pair in self.pairs]

    @property
    def files(self) -> list[tuple[tuple[Path, ...], tuple[Path, ...]]]:
        """Images and label files of each sample."""
        return [(pair.images, pair.labels) for pair in self.pairs]

    @property
    def sizes(self) -> list[tuple[str, tuple[int, int]]]:
        """First image, and height and width of each sample, from the headers of the images."""
        return [(str(pair.images[0]), image_size(pair.images[0])) for pair in self.pairs]

    def hashes(self) -> list[str]:
        """Return a hash of the images of each pair, see `cdzoo.data.overlap`."""
        return pair_hashes(self.pairs)

    def has_change(self) -> bool:
        """Return whether any mask has changed pixels."""
        return self._changed


class FolderPairs(FilePairs):
    """Samples of a folder such as `A/x.png`, `B/x.png`, `label/x.png` (see `known_layouts`), matched by file name without suffix.

    The headers of all files are read first, so that missing files and differing sizes are reported together. Images without a
    mask are left out with a warning that names them.

    Args:
        root: Folder of the data set.
        bands: Number of bands of each date.
        exclude: Wildcards (fnmatch) of sample names to leave out.
        split: `"train"`, `"val"` or `"test"`: a folder of that name in `root`, or the list file `root/list/<split>.txt`.
        value_range: (min, max) mapped to [0, 1]; required for images of more than 8 bits.
        encoding: Encoding of the masks; detected by default.

    Raises:
        InputError: No layout matches, a file is missing, sizes or georeferences differ, or no sample is left. All affected files
            are listed.
    """

    def __init__(
        self,
        root: str | Path,
        bands: tuple[int, ...] = (3, 3),
        exclude: Sequence[str] = (),
        split: str | None = None,
        value_range: tuple[float, float] | None = None,
        encoding: MaskEncoding | None = None,
    ) -> None:
        self.root = Path(root)
        super().__init__(usable_pairs(list_split(root, split, exclude, known_layouts())), bands, value_range, encoding)
