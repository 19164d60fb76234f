"""`SceneSamples`: windows of scenes, cut when they are read."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.blocks import Cell
from cdzoo.data.labels import Labels, MaskLabels
from cdzoo.data.overlap import window_hashes
from cdzoo.data.sample import Sample
from cdzoo.data.scene import Scene
from cdzoo.io.rasters import keep_environment
from cdzoo.io.windows import WindowReader
from cdzoo.tiling import Window, tile_name

_OPEN = 8  # scenes


class SceneSamples(Dataset[Sample]):
    """Windows of scenes, cut when they are read: one sample each, named by its scene and its first row and column.

    Memory does not depend on the size of the scenes. Files are opened by each process that reads.

    Args:
        scenes: The scenes.
        cells: Number of the scene of each window, and the window.
        labels: Reads the targets.
    """

    def __init__(self, scenes: Sequence[Scene], cells: Sequence[tuple[int, Cell]], labels: Labels) -> None:
        self.scenes, self.cells, self.labels = list(scenes), list(cells), labels
        self._readers: dict[int, list[WindowReader]] = {}
        self._process: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_readers": {}, "_process": None}

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, index: int) -> Sample:
        """Return one window.

        Raises:
            InputError: A file is damaged, or labels have values that are not declared.
        """
        scene, cell = self.cells[index]
        return self._read(scene, cell.window, self.names[index])

    def surroundings(self, index: int) -> Sample:
        """Return a window with up to half a window more on each side, within its block, from which random crops are taken."""
        scene, cell = self.cells[index]
        return self._read(scene, cell.around, self.names[index])

    def _read(self, index: int, window: Window, name: str) -> Sample:
        scene = self.scenes[index]
        return scene.read(self.opened(index), self.labels, window, name)

    def opened(self, index: int) -> list[WindowReader]:
        """Return the images of a scene, opened by this process."""
        if self._process != os.getpid():  # open files cannot be shared with a forked process
            self._readers, self._process = {}, os.getpid()
            weakref.finalize(self, _close, self._readers, 0)
        if index not in self._readers:
            _close(self._readers, _OPEN - 1)
            keep_environment()
            self._readers[index] = self.scenes[index].open()
        return self._readers[index]

    @functools.cached_property
    def names(self) -> list[str]:
        """Names of the windows in order."""
        return [_name(self.scenes[scene].files.name, cell.window) for scene, cell in self.cells]

    @property
    def blocks(self) -> list[str]:
        """Name of the block of each window; scenes of one place share blocks."""
        return [block_name(cell) for _, cell in self.cells]

    @property
    def described(self) -> str:
        """Number, size and origin of the windows, as text."""
        used = {index for index, _ in self.cells}
        sides = {(cell.window.height, cell.window.width) for _, cell in self.cells}
        size = f"{max(sides)[1]}x{max(sides)[0]} pixels" + (" or less" if len(sides) > 1 else "")
        kind = f"classes {', '.join(self.labels.class_names)}"
        if isinstance(self.labels, MaskLabels):
            kind = f"masks {self.labels.encoding.value}"
        names = [str(self.scenes[index].files.images[0]) for index in sorted(used)]
        place = names[0] if len(names) == 1 else f"{len(names)} scenes"
        return f"{len(self)} windows of {size} in {len({*self.blocks})} block(s) of ground, {kind}, from {place}"

    @property
    def files(self) -> list[tuple[tuple[Path, ...], tuple[Path, ...]]]:
        """Images of each scene, and its labels with the areas."""
        found = (self.scenes[index] for index in sorted({index for index, _ in self.cells}))
        return [
            (one.files.images, (*one.files.labels, *(area for area in (one.aoi, one.labeled_area) if area is not None)))
            for one in found
        ]

    @property
    def sizes(self) -> list[tuple[str, tuple[int, int]]]:
        """Name, and height and width of each window."""
        windows = (cell.window for _, cell in self.cells)
        return [(name, (area.height, area.width)) for name, area in zip(self.names, windows, strict=True)]

    def hashes(self) -> list[str]:
        """Return the hash of the images of each window with its place, see `cdzoo.data.overlap`."""
        found: dict[int, list[Window]] = {}
        for index, cell in self.cells:
            found.setdefault(index, []).append(cell.window)
        hashed = {index: iter(window_hashes(self.scenes[index].files, windows)) for index, windows in found.items()}
        return [next(hashed[index]) for index, _ in self.cells]

    def has_change(self) -> bool:
        """Return whether any label has changed pixels, also where images have no data."""
        return self._has_change

    @functools.cached_property
    def _has_change(self) -> bool:
        return any(self._is_changed(index) for index in _spread(len(self)))

    def _is_changed(self, index: int) -> bool:
        number, cell = self.cells[index]
        scene = self.scenes[number]
        values = scene.targets(self.labels, scene.grid.part(*cell.window.slices))[self.labels.main]
        return bool(((values != 0) & (values != IGNORE_INDEX)).any())


def _close(readers: dict[int, list[WindowReader]], kept: int) -> None:
    """Close the scenes that were opened first, so that a number of them stays open."""
    while len(readers) > kept:
        for reader in readers.pop(next(iter(readers))):
            reader.__exit__()


def block_name(cell: Cell) -> str:
    """Return the name of the block of a window: its column and row."""
    return f"{cell.block[0]}_{cell.block[1]}"


def _name(scene: str, window: Window) -> str:
    # Windows of blocks that start outside the scene are named by their first pixel in it.
    return tile_name(scene, Window(max(0, window.y), max(0, window.x), window.height, window.width))


def _spread(count: int) -> list[int]:
    """Return the numbers below a count in an order that soon comes by all places."""
    return np.random.default_rng(0).permutation(count).tolist()
