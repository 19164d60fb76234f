"""Data sets of image files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import Dataset

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.datasets import known_layouts
from cdzoo.data.layout import PairFiles, list_split, usable_pairs
from cdzoo.data.masks import MaskEncoding, find_encoding, read_mask
from cdzoo.data.overlap import pair_hashes
from cdzoo.data.sample import Sample
from cdzoo.io.images import image_size, read_image_and_valid


class FilePairs(Dataset[Sample]):
    """Samples read from files: images (bands, H, W), `target["mask"]` (H, W) int64 in {0, 1, 255}.

    Images are uint8, or float32 if `value_range` is given. Pixels without a label, or for which a date is declared to have no
    data, are 255 in the mask. All masks are read first.

    Args:
        pairs: Files of the samples.
        bands: Number of bands of each date.
        value_range: (min, max) mapped to [0, 1]; required for images of more than 8 bits.
        encoding: Encoding of the masks; detected by default.

    Attributes:
        encoding: Encoding of the masks.
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
    ) -> None:
        self.pairs = list(pairs)
        self.bands = bands
        self.value_range = value_range
        self.encoding, self._labels = find_encoding([pair.mask for pair in self.pairs], encoding)
        unlabeled, total = sum(counts[2] for counts in self._labels.values()), sum(map(sum, self._labels.values()))
        self.unlabeled = unlabeled / max(1, total)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Return one sample.

        Raises:
            InputError: A file is damaged, or the mask has values that its encoding does not allow.
        """
        pair = self.pairs[index]
        mask = read_mask(pair.mask, self.encoding)
        images = []
        for path, bands in zip(pair.images, self.bands, strict=True):
            pixels, valid = read_image_and_valid(path, bands, self.value_range)
            images.append(torch.from_numpy(pixels).permute(2, 0, 1))
            if valid is not None:
                mask[~valid] = IGNORE_INDEX
        return Sample(tuple(images), {"mask": torch.from_numpy(mask).long()}, pair.name)

    @property
    def names(self) -> list[str]:
        """Names of the samples in order."""
        return [pair.name for pair in self.pairs]

    @property
    def files(self) -> list[tuple[tuple[Path, ...], Path]]:
        """Images and mask of each sample."""
        return [(pair.images, pair.mask) for pair in self.pairs]

    @property
    def sizes(self) -> list[tuple[str, tuple[int, int]]]:
        """First image, and height and width of each sample, from the headers of the masks."""
        return [(str(pair.images[0]), image_size(pair.mask)) for pair in self.pairs]

    def hashes(self) -> list[str]:
        """Return a hash of the images of each pair, see `cdzoo.data.overlap`."""
        return pair_hashes(self.pairs)

    def has_change(self) -> bool:
        """Return whether any mask has changed pixels."""
        return any(changed for _, changed, _ in self._labels.values())


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
