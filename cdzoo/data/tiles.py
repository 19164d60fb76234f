"""Tiles of large images, cut when they are read."""

from __future__ import annotations

from pathlib import Path

from torch.utils.data import Dataset

from cdzoo.data.folder import FilePairs
from cdzoo.data.sample import Sample, as_sample
from cdzoo.io.images import image_size
from cdzoo.tiling import Window, tile_name, tile_windows


class TiledPairs(Dataset[Sample]):
    """Tiles of a data set of files, cut when they are read. Images no larger than a tile are kept whole.

    Sequential reading decodes each image once; random access decodes it for every tile, which `cdzoo data prepare` avoids.

    Args:
        pairs: Data set of whole images.
        tile: Side of a tile in pixels, at least 32.
    """

    def __init__(self, pairs: FilePairs, tile: int) -> None:
        self.whole = pairs
        self.tile = tile
        self.windows: list[tuple[int, Window | None]] = []
        for index, pair in enumerate(pairs.pairs):
            windows = tile_windows(*image_size(pair.images[0]), tile)
            self.windows += [(index, window) for window in windows] if len(windows) > 1 else [(index, None)]
        self._last: tuple[int, Sample] | None = None

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Sample:
        """Return one tile."""
        image, window = self.windows[index]
        if self._last is None or self._last[0] != image:
            self._last = (image, as_sample(self.whole[image]))
        sample = self._last[1]
        return sample if window is None else crop_sample(sample, window)

    @property
    def names(self) -> list[str]:
        """Names of the tiles in order."""
        whole = self.whole.names
        return [whole[image] if window is None else tile_name(whole[image], window) for image, window in self.windows]

    @property
    def image_names(self) -> list[str]:
        """Name of the image of each tile."""
        return [self.whole.names[image] for image, _ in self.windows]

    @property
    def files(self) -> list[tuple[tuple[Path, ...], tuple[Path, ...]]]:
        """Images and label files of each whole image."""
        return self.whole.files

    @property
    def sizes(self) -> list[tuple[str, tuple[int, int]]]:
        """Image, and height and width of each tile."""
        whole = self.whole.sizes
        return [whole[i] if area is None else (whole[i][0], (area.height, area.width)) for i, area in self.windows]

    def hashes(self) -> list[str]:
        """Return a hash of each image that tiles are cut from, see `cdzoo.data.overlap`."""
        return self.whole.hashes()

    def has_change(self) -> bool:
        """Return whether any mask has changed pixels."""
        return self.whole.has_change()


def crop_sample(sample: Sample, window: Window) -> Sample:
    """Crop all images and targets of a sample to a window; the position of the window is added to the name."""
    area = (..., *window.slices)
    target = {name: values[area] for name, values in sample.target.items()}
    return Sample(tuple(image[area] for image in sample.images), target, tile_name(sample.name, window))
