"""`WindowReader`: an image of any size read window by window on the grid of another one."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.errors import InputError
from cdzoo.io.georeference import Grid, grid_of, is_same
from cdzoo.io.images import Valid, image_files
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

    Attributes:
        grid: Grid of the pixels.
        alpha: First file whose alpha band marks its pixels with data; None if there is none.
        format: Number of bands and type of the values, as text.
        is_full: Whether all pixels of the grid are known to have data.
        values: Type of the stored values, and their scale and offset, see `stored_values`.

    Raises:
        InputError: A file cannot be read, has another number of bands, or does not overlap the grid.
        MissingDependencyError: rasterio is not installed.
    """

    def __init__(self, path: Path, bands: int | None, grid: Grid | None = None, nearest: bool = False) -> None:
        self.path = path
        files = image_files(path)
        with ExitStack() as stack:
            opened = [(file, stack.enter_context(open_raster(file, "reading scenes"))) for file in files]
            grids = [grid_of(file, source) for file, source in opened]
            self.grid = grid or min(grids, key=lambda one: abs(one.transform.determinant))
            self.is_full, self._layers = True, list[tuple[Any, list[int]]]()
            self.alpha: Path | None = None
            for (file, source), own in zip(opened, grids, strict=True):
                marks = [index for index, meaning in enumerate(source.colorinterp, 1) if meaning.name == "alpha"]
                marks = marks if len(opened) > 1 or bands is None or source.count > bands else []
                self.alpha = self.alpha or (file if marks else None)
                indexes = [index for index in source.indexes if index not in marks]
                flags = {flag.name for index in indexes for flag in source.mask_flag_enums[index - 1]}
                self.is_full &= flags == {"all_valid"} and is_same(own, self.grid) and not source.dtypes[0].startswith("f")
                self.values = stored_values(source, indexes)
                if not is_same(own, self.grid):
                    has_alpha = "alpha" in {meaning.name for meaning in source.colorinterp}
                    warped = resampled(file, source, own, self.grid, source.nodata, has_alpha, nearest=nearest)
                    source = stack.enter_context(warped)
                self._layers.append((source, indexes))
            found = sum(len(indexes) for _, indexes in self._layers)
            self.format = f"{found} band(s) {opened[0][1].dtypes[0]}"
            if bands not in (None, found):
                raise InputError(
                    f"{path}: the image has {found} band(s), expected {bands}; build the model with --in-chans {found}, or write "
                    f"a copy with {bands} band(s), for example with gdal_translate -b"
                )
            self._stack = stack.pop_all()

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
