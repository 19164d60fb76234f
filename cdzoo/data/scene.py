"""`Scene`: two images of any size with their labels, each on its own grid, read window by window on the grid of the first one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.labels import Labels, Maps
from cdzoo.data.listing import PairFiles
from cdzoo.data.sample import Sample
from cdzoo.errors import InputError
from cdzoo.io.georeference import Grid, describe, is_same, may_be_placed
from cdzoo.io.images import Valid, image_size
from cdzoo.io.placement import BACKGROUND, Placement, burn, is_vector, polygons_near
from cdzoo.io.scaling import SAMPLE, Limits, Scaling
from cdzoo.io.windows import Pixels, WindowReader
from cdzoo.tiling import Window

Selected: TypeAlias = Sequence[int | str] | None
LARGE = 4096
"""Longest side in pixels of georeferenced images that are read whole."""
_ROWS = 1024  # of a scene whose labels are read at once for its overview


def is_large(image: Path) -> bool:
    """Return whether an image is to be cut when it is read: a VRT, or one with a georeference and more than `LARGE` pixels."""
    if image.suffix.lower() == ".vrt":
        return True
    if image.is_dir():  # of bands
        return False
    with warnings.catch_warnings(), suppress(InputError):  # damaged images are reported with their pairs
        warnings.simplefilter("ignore")  # Pillow warns of large images
        return max(image_size(image)) > LARGE and may_be_placed(image)
    return False


@dataclass(frozen=True, eq=False)
class Scene:
    """Two images of any size with their labels.

    Attributes:
        files: Images and label files.
        bands: Number of bands of each date; None for any.
        scalings: Scaling of each date.
        grid: Grid of the first date.
        limits: What maps to 0 and 1 in each band of each date.
        aoi: File of polygons outside of which pixels have no label.
        attribute: Attribute of polygons of labels that holds their value or the name of their class.
        selected: Bands to read of each date, by number from 1 or by name; None for all.
        labeled_area: File of polygons outside of which labels are not used; their pixels have data all the same.
    """

    files: PairFiles
    bands: tuple[int | None, ...]
    scalings: tuple[Scaling, ...]
    grid: Grid
    limits: tuple[Limits, ...]
    aoi: Path | None = None
    attribute: str | None = None
    selected: tuple[Selected, ...] = (None, None)
    labeled_area: Path | None = None

    def open(self) -> list[WindowReader]:
        """Open the images, which the caller closes."""
        dates = zip(self.files.images, self.bands, self.selected, strict=True)
        return [WindowReader(path, bands, self.grid, select=select) for path, bands, select in dates]

    def stored(self, readers: Sequence[WindowReader], window: Window) -> tuple[list[Pixels], list[Valid]]:
        """Return the stored values of a window of each date (h, w, bands), and where they are data (h, w)."""
        images, valid = zip(*(reader.read(*window.slices) for reader in readers), strict=True)
        return list(images), list(valid)

    def read(self, readers: Sequence[WindowReader], labels: Labels, window: Window, name: str) -> Sample:
        """Return a window as a sample. Pixels without data at any date, and those outside the area, are 255 in the targets.

        Args:
            readers: Open images, see `open`.
            labels: Reads the targets.
            window: Pixels, which may lie outside the scene in part.
            name: Name of the sample.

        Raises:
            InputError: A file is damaged, or labels have values that are not declared.
        """
        pixels, valid = self.stored(readers, window)
        images = [
            torch.from_numpy(scaling.apply(path, stored, known, limits)).permute(2, 0, 1)
            for path, scaling, stored, known, limits in zip(
                self.files.images, self.scalings, pixels, valid, self.limits, strict=True
            )
        ]
        targets = self.targets(labels, self.grid.part(*window.slices), np.logical_and.reduce(valid))
        target = {name: torch.from_numpy(values).long() for name, values in targets.items()}
        return Sample(tuple(images), target, name)

    def targets(self, labels: Labels, part: Grid, valid: Valid | None = None) -> Maps:
        """Return the targets on a grid, 255 where pixels are not valid, outside the area and where there are no labels."""
        targets = labels.read(self.placed(part))
        areas = [self._inside(area, part) for area in (self.aoi, self.labeled_area) if area is not None]
        for known in ([] if valid is None else [valid]) + areas:
            for values in targets.values():
                values[~known] = IGNORE_INDEX
        return targets

    def placed(self, part: Grid) -> PairFiles:
        """Return the files with what places labels on a grid."""
        return replace(self.files, placement=Placement(self.files.images[0], self.attribute, part, self.grid))

    def _inside(self, area: Path, part: Grid) -> npt.NDArray[np.bool_]:
        return burn(area, Placement(self.files.images[0], part=part)) != BACKGROUND

    def usable(self, labels: Labels, step: int) -> tuple[Valid, Valid]:
        """Return which of every `step`-th pixel (h, w) have data at both dates and lie in the area, and which have a label, too.

        Raises:
            InputError: The dates do not overlap, or no pixel with data lies in the area.
        """
        grid, image = self.grid, self.files.images[0]
        size = -(-grid.height // step), -(-grid.width // step)
        known = np.ones(size, np.bool_)
        for path, bands, select in zip(self.files.images, self.bands, self.selected, strict=True):
            known &= _valid(path, bands, select, grid, step, size)
        if not known.any():
            raise InputError(f"{self.files.images[1]}: has no data where {image} has some; name two images of the same place")
        labeled = np.zeros(size, np.bool_)
        part = max(1, _ROWS // step)
        for first in range(0, size[0], part):
            rows = slice(first * step, min(first + part, size[0]) * step)
            coarse, target = grid.part(rows, slice(0, size[1] * step), step), slice(first, first + part)
            known[target] &= True if self.aoi is None else self._inside(self.aoi, coarse)
            labeled[target] = known[target] & self.labeled(labels, coarse)
        return known, labeled

    def labeled(self, labels: Labels, part: Grid) -> Valid:
        """Return which pixels of a grid have a label and lie in the area."""
        return self.targets(labels, part)[labels.main] != IGNORE_INDEX


def open_scene(
    files: PairFiles,
    bands: tuple[int | None, ...],
    scalings: Sequence[Scaling],
    aoi: Path | None = None,
    attribute: str | None = None,
    equal_values: bool = True,
    selected: Sequence[Selected] = (None, None),
) -> Scene:
    """Return a scene after checking that its files can be brought to one grid.

    Args:
        files: Images and label files.
        bands: Number of bands of each date; None for any.
        scalings: Scaling of each date.
        aoi: File of polygons outside of which pixels have no label.
        attribute: Attribute of polygons of labels that holds their value or the name of their class.
        equal_values: Whether the values of all dates must mean the same, see `cdzoo.io.values`.
        selected: Bands to read of each date, by number from 1 or by name; None for all.

    Raises:
        InputError: A file cannot be read, dates do not overlap or store values that mean different things, no polygon lies in the
            scene, or only some files have coordinates.
    """
    readers: list[WindowReader] = []
    try:
        for path, number, select in zip(files.images, bands, selected, strict=True):
            readers.append(WindowReader(path, number, readers[0].grid if readers else None, select=select))
        grid = readers[0].grid
        for file in {reader.alpha for reader in readers} - {None}:
            warnings.warn(
                f"{file}: its last band is taken as alpha, as the file says: pixels where it is 0 have no data; if it is a band "
                "like others, build the model with one more, --in-chans, or name it in --bands",
                stacklevel=2,
            )
        for reader in readers[1:] if equal_values else ():
            if reader.values != readers[0].values:
                raise InputError(
                    f"{reader.path}: {reader.values}, but {readers[0].path} has {readers[0].values}, so one range of values does "
                    "not fit both; bring them to one, or give the second date its own: --value-range-after or --percentiles-after"
                )
        for path in (*files.labels, *([] if aoi is None else [aoi])):
            if is_vector(path) or path == aoi:
                _check_polygons(path, files.images[0], grid)
        limits = []
        for scaling, reader in zip(scalings, readers, strict=True):
            step = max(1, -(-max(grid.height, grid.width) // SAMPLE))
            pixels, valid = reader.overview(step) if scaling.percentiles else reader.read(slice(0, 1), slice(0, 1))
            limits.append(scaling.limits(reader.path, pixels, valid))
            scaling.apply(reader.path, pixels[:1, :1], valid[:1, :1], limits[-1])
    finally:
        for reader in readers:
            reader.__exit__()
    return Scene(files, bands, tuple(scalings), grid, tuple(limits), aoi, attribute, tuple(selected))


def _check_polygons(path: Path, image: Path, grid: Grid) -> None:
    """Raise unless some of the polygons of a file lie in an image."""
    if not grid.is_placed:
        raise InputError(f"{image}: has {describe(grid)}, so the polygons of {path} cannot be placed on it; name a GeoTIFF")
    if polygons_near(path, grid).empty:
        corners = np.sort(grid.coordinates(np.array([[0, 0], grid.size])), 0).ravel()
        bounds = [float(f"{value:.8g}") for value in corners]
        raise InputError(
            f"{path}: no polygon lies in {image}, which covers {bounds} (left, bottom, right, top); name those of it"
        )


def _valid(path: Path, bands: int | None, select: Selected, grid: Grid, step: int, size: tuple[int, int]) -> Any:
    """Return which of every `step`-th pixel of a grid have data in an image."""
    with WindowReader(path, bands, select=select) as own:
        if is_same(own.grid, grid):
            return True if own.is_full else own.overview(step)[1]
    coarse = grid.part(slice(0, grid.height), slice(0, grid.width), step)
    with WindowReader(path, bands, coarse, nearest=True, select=select) as reader:
        return reader.read(slice(0, size[0]), slice(0, size[1]))[1]
