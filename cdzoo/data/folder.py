"""Pairs of images in files, as samples."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import Dataset

from cdzoo.data.layout import LAYOUTS, Listing, PairFiles, find_layout, list_split
from cdzoo.data.masks import MaskEncoding, detect_encoding, read_mask
from cdzoo.data.sample import Sample
from cdzoo.errors import InputError
from cdzoo.io.images import check_same_size, read_grey, read_image

__all__ = ["LAYOUTS", "FilePairs", "FolderPairs", "PairFiles", "find_layout"]


class FilePairs(Dataset[Sample]):
    """Samples read from files: two images (bands, H, W) and the target `mask` (H, W) int64 in {0, 1}.

    Images are uint8, or float32 with a `value_range`.

    Args:
        pairs: The files.
        bands: Bands of the first and of the second date.
        value_range: Values that become 0 and 1; needed for images of more than 8 bits.
        encoding: How change is written in the masks; recognised from a sample of them when not given.

    Raises:
        InputError: Masks are of different encodings.
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
        """Return one sample; reading it raises `InputError` when the file is damaged or the mask has other values."""
        pair = self.pairs[index]
        images = tuple(
            torch.from_numpy(read_image(path, bands, self.value_range)).permute(2, 0, 1)
            for path, bands in zip((pair.image_a, pair.image_b), self.bands, strict=True)
        )
        return Sample(images, {"mask": torch.from_numpy(read_mask(pair.mask, self.encoding)).long()}, pair.name)

    @property
    def names(self) -> list[str]:
        """Names of the samples, in order."""
        return [pair.name for pair in self.pairs]

    def has_change(self) -> bool:
        """Tell whether any mask shows change; reads masks until one does.

        Raises:
            InputError: A mask on the way cannot be read.
        """
        return any(read_grey(pair.mask).any() for pair in self.pairs)


class FolderPairs(FilePairs):
    """Pairs of one folder: `A/x.png`, `B/x.png`, `label/x.png` (see `LAYOUTS`), matched by file name without suffix.

    All headers are read at once, so that missing partners and differing sizes are reported together before work starts. Images
    without a mask cannot be trained on and are left out with a warning that names them.

    Args:
        root: The folder.
        bands: Bands of the first and of the second date.
        exclude: fnmatch wildcards of names to leave out.
        split: `"train"`, `"val"` or `"test"`: a folder of that name below `root`, or `root/list/<split>.txt`.
        value_range: Values that become 0 and 1; needed for images of more than 8 bits.
        encoding: How change is written in the masks; recognised from a sample of them when not given.

    Raises:
        InputError: The layout is not recognised, a partner is missing, sizes differ, or nothing is left. All files are listed.
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
        super().__init__(usable_pairs(list_split(root, split, exclude)), bands, value_range, encoding)


def usable_pairs(listing: Listing) -> list[PairFiles]:
    """Return the pairs of a listing after checking that all of them can be used.

    Raises:
        InputError: Partners are missing, sizes differ, or nothing is left; all files are named.
    """
    problems = list(listing.problems)
    for pair in listing.pairs:
        try:
            check_same_size(pair.image_a, pair.image_b)
            check_same_size(pair.image_a, pair.mask)
        except InputError as error:
            problems.append(str(error))
    if problems:
        hint = "repair them, or leave pairs out with --exclude NAME (wildcards allowed)"
        raise InputError("\n".join([f"{listing.root}: {len(problems)} file(s) cannot be used; {hint}", *problems]))
    if not listing.pairs:
        raise InputError(f"{listing.root}: no pair with a mask")
    if listing.unlabelled:
        warnings.warn(
            f"{listing.root}: {len(listing.unlabelled)} pair(s) without a mask are left out: {', '.join(listing.unlabelled)}",
            stacklevel=4,
        )
    return listing.pairs
