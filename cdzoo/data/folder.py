"""Data sets of image files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import Dataset

from cdzoo.data.datasets import known_layouts
from cdzoo.data.layout import PairFiles, list_split, usable_pairs
from cdzoo.data.masks import MaskEncoding, detect_encoding, read_mask
from cdzoo.data.sample import Sample
from cdzoo.io.images import read_gray, read_image


class FilePairs(Dataset[Sample]):
    """Samples read from files: images (bands, H, W), `target["mask"]` (H, W) int64 in {0, 1}.

    Images are uint8, or float32 if `value_range` is given.

    Args:
        pairs: Files of the samples.
        bands: Number of bands of each date.
        value_range: (min, max) mapped to [0, 1]; required for images of more than 8 bits.
        encoding: Encoding of the masks; detected by default.

    Raises:
        InputError: The masks have different encodings.
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
        self.encoding = encoding or detect_encoding([pair.mask for pair in self.pairs])

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Return one sample.

        Raises:
            InputError: A file is damaged, or the mask has values that its encoding does not allow.
        """
        pair = self.pairs[index]
        images = tuple(
            torch.from_numpy(read_image(path, bands, self.value_range)).permute(2, 0, 1)
            for path, bands in zip(pair.images, self.bands, strict=True)
        )
        return Sample(images, {"mask": torch.from_numpy(read_mask(pair.mask, self.encoding)).long()}, pair.name)

    @property
    def names(self) -> list[str]:
        """Names of the samples in order."""
        return [pair.name for pair in self.pairs]

    @property
    def files(self) -> list[tuple[tuple[Path, ...], Path]]:
        """Images and mask of each sample."""
        return [(pair.images, pair.mask) for pair in self.pairs]

    def has_change(self) -> bool:
        """Return whether any mask has changed pixels; reads masks until one has.

        Raises:
            InputError: A mask cannot be read.
        """
        return any(read_gray(pair.mask).any() for pair in self.pairs)


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
        InputError: No layout matches, a file is missing, sizes differ, or no sample is left. All affected files are listed.
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
