"""`WindowReader`: an image of any size read window by window on the grid of another one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.errors import InputError
from cdzoo.io.alpha import alpha_bands, without_alpha
from cdzoo.io.band_files import band_files
from cdzoo.io.band_names import band_indexes
from cdzoo.io.georeference import Grid, grid_of, is_same
from cdzoo.io.images import Valid
from cdzoo.io.rasters import limited_cache, open_raster, reading, valid_pixels
from cdzoo.io.resampling import resampled
from cdzoo.io.values import stored_values

Pixels = npt.NDArray[Any]


class WindowReader(AbstractContextManager["WindowReader"]):
    """Stored values of an image, resampled bilinearly to a grid where its own is another one.

    Args:
        path: A raster, or a folder with one raster per band, whose resolutions may differ.
        bands: Number of bands expected; None for any. A band that a file calls alpha marks the pixels with data, unless it is one
            of the expected ones.
        grid: Grid of the pixels; by default that of the file, or of the finest band.
        nearest: Take the nearest pixel instead, as for grids that are much coarser.
        select: Bands to read, in this order, by number from 1 or by name; all by default. The alpha band is one if it is named.

    Attributes:
        grid: Grid of the pixels.
        alpha: First file whose alpha band marks its pixels with data; None if there is none.
        format: Number of bands and type of the values, as text.
        is_full: Whether all pixels of the grid are known to have data.
        values: Type of the stored values, and their scale and offset, see `stored_values`.

    Raises:
        InputError: A file cannot be read, has another number of bands or not those of `select`, or does not overlap the grid.
        MissingDependencyError: rasterio is not installed.
    """

    def __init__(
        self,
        path: Path,
        bands: int | None,
        grid: Grid | None = None,
        nearest: bool = False,
        select: Sequence[int | str] | None = None,
    ) -> None:
        self.path, self._nearest = path, nearest
        folder = band_files(path)
        every = [*folder.values()] or [path]
        chosen = every
        if folder and select is not None:
            chosen = [every[index - 1] for index in band_indexes(path, [*folder], select)]
        with ExitStack() as stack:
            # Bands that are not read may be the finest ones, too.
            opened = {
                file: stack.enter_context(open_raster(file, "reading scenes")) for file in (every if grid is None else chosen)
            }
            grids = {file: grid_of(file, source) for file, source in opened.items()}
            self.grid = grid or min(grids.values(), key=lambda one: abs(one.transform.determinant))
            self.is_full, self._layers = True, list[tuple[Any, list[int]]]()
            self.alpha: Path | None = None
            for file in chosen:
                indexes, marks = _indexes(file, opened[file], bands, select, bool(folder))
                self.alpha = self.alpha or (file if marks else None)
                self._add(stack, file, opened[file], grids[file], indexes)
            found = sum(len(indexes) for _, indexes in self._layers)
            self.format = f"{found} band(s) {opened[chosen[0]].dtypes[0]}"
            if bands not in (None, found):
                has = "the image has" if select is None else "--bands selects"
                raise InputError(
                    f"{path}: {has} {found} band(s), expected {bands}; build the model with --in-chans {found}, or select "
                    f"{bands} of the bands with --bands"
                )
            self._stack = stack.pop_all()

    def _add(self, stack: ExitStack, file: Path, source: Any, own: Grid, indexes: list[int]) -> None:
        """Add bands of an open file, on the grid."""
        self.values = stored_values(source, indexes)
        if {*alpha_bands(source)} & {*indexes}:
            source = stack.enter_context(without_alpha(file, source))
        flags = {flag.name for index in indexes for flag in source.mask_flag_enums[index - 1]}
        self.is_full &= flags == {"all_valid"} and is_same(own, self.grid) and not source.dtypes[0].startswith("f")
        if not is_same(own, self.grid):
            has_alpha = bool(alpha_bands(source))
            source = stack.enter_context(resampled(file, source, own, self.grid, source.nodata, has_alpha, nearest=self._nearest))
        self._layers.append((source, indexes))

    def __exit__(self, *error: object) -> None:
        """Close the files."""
        self._stack.close()

    def read(self, rows: slice, columns: slice) -> tuple[Pixels, Valid]:
        """Return the pixels of a window (h, w, bands), and where they have data (h, w).

        The window may lie outside the grid in part, where there are no data. NaN and infinite values are no data.

        Raises:
            InputError: The window cannot be read.
        """
        inner = [
            slice(max(0, span.start), max(0, min(length, span.stop)))
            for span, length in zip((rows, columns), (self.grid.height, self.grid.width), strict=True)
        ]
        if any(span.stop <= span.start for span in inner):
            raise InputError(f"{self.path}: rows {rows.start} to {rows.stop} are outside")
        pixels, valid = self._read(f"rows {rows.start} to {rows.stop}", window=tuple(inner))
        outside = [(one.start - span.start, span.stop - one.stop) for one, span in zip(inner, (rows, columns), strict=True)]
        if any(map(any, outside)):
            pixels, valid = np.pad(pixels, [*outside, (0, 0)]), np.pad(valid, outside)
        return pixels, valid

    def overview(self, step: int) -> tuple[Pixels, Valid]:
        """Return every `step`-th pixel of the image (h, w, bands), and where they have data (h, w).

        Raises:
            InputError: The image cannot be read.
        """
        return self._read("the overview", shape=(-(-self.grid.height // step), -(-self.grid.width // step)))

    def _read(self, part: str, shape: tuple[int, int] | None = None, **options: Any) -> tuple[Pixels, Valid]:
        layers, masks = [], []
        with limited_cache(1), reading(self.path, f"{part} cannot be read"):
            for source, indexes in self._layers:
                size = {} if shape is None else {"out_shape": (len(indexes), *shape)}
                layers.append(source.read(indexes, **options, **size).transpose(1, 2, 0))
                masks.append(valid_pixels(source, indexes, **options, **size))
        pixels, valid = np.concatenate(layers, -1), np.logical_and.reduce(masks)
        return pixels, valid & np.isfinite(pixels).all(-1) if pixels.dtype.kind == "f" else valid


def _indexes(
    file: Path, source: Any, bands: int | None, select: Sequence[int | str] | None, is_one_of_several: bool
) -> tuple[list[int], list[int]]:
    """Return the bands of an open file to read, and those that mark its pixels with data, from 1."""
    marks = alpha_bands(source)
    if select is not None and not is_one_of_several:
        indexes = band_indexes(file, source.descriptions, select)
        return indexes, [] if {*indexes} & {*marks} else marks
    marks = marks if is_one_of_several or bands is None or source.count > bands else []
    indexes = [index for index in source.indexes if index not in marks]
    if select is not None and len(indexes) != 1:
        raise InputError(f"{file}: {len(indexes)} bands; files of a folder of which --bands selects some have one band each")
    return indexes, marks
