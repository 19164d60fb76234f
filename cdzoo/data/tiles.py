"""Cutting large pairs into tiles, the same way on the fly and on disk."""

from __future__ import annotations

from torch.utils.data import Dataset

from cdzoo.data.folder import FilePairs
from cdzoo.data.sample import Sample
from cdzoo.io.images import image_size
from cdzoo.tiling import Window, tile_name, tile_windows


class TiledPairs(Dataset[Sample]):
    """The tiles of pairs of files, cut when they are read. Images that are no larger than a tile stay as they are.

    Reading in order decodes each image once; reading at random decodes it for every tile, which `cdzoo data prepare` avoids.

    Args:
        pairs: The whole images.
        tile: Side of a tile in pixels.
    """

    def __init__(self, pairs: FilePairs, tile: int) -> None:
        self.whole = pairs
        self.tile = tile
        self.windows: list[tuple[int, Window | None]] = []
        for index, pair in enumerate(pairs.pairs):
            cut = tile_windows(*image_size(pair.mask), tile)
            self.windows += [(index, window) for window in cut] if len(cut) > 1 else [(index, None)]
        self._last: tuple[int, Sample] | None = None

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Sample:
        """Return one tile as a sample."""
        image, window = self.windows[index]
        if self._last is None or self._last[0] != image:
            self._last = (image, self.whole[image])
        sample = self._last[1]
        return sample if window is None else cut(sample, window)

    @property
    def names(self) -> list[str]:
        """Names of the tiles, in order."""
        whole = self.whole.names
        return [whole[image] if window is None else tile_name(whole[image], window) for image, window in self.windows]

    def has_change(self) -> bool:
        """Tell whether any mask shows change."""
        return self.whole.has_change()


def cut(sample: Sample, window: Window) -> Sample:
    """Cut a window out of a sample, and name it after it."""
    rows, columns = slice(window.y, window.y + window.height), slice(window.x, window.x + window.width)
    images = tuple(image[..., rows, columns] for image in sample.images)
    target = {name: value[..., rows, columns] for name, value in sample.target.items()}
    return Sample(images, target, tile_name(sample.name, window))
