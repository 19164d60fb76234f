"""`CloudMask`: a raster that says where a date has no data, such as the scene classification (SCL) of Sentinel-2."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cdzoo.errors import InputError
from cdzoo.inference.sources import Mask
from cdzoo.io.files import PathLike
from cdzoo.io.georeference import Grid, grid_of, is_same
from cdzoo.io.rasters import open_raster, reading
from cdzoo.io.registration import Shift
from cdzoo.io.resampling import resampled
from cdzoo.scenes.alignment import correction

SCL = (0, 1, 3, 8, 9, 10)
"""Classes of SCL without data: no data, defective, shadows of clouds, clouds of medium and of high probability, cirrus."""
_SCL = re.compile(r"(?:^|[\W_])scl(?:$|[\W_])", re.IGNORECASE)
_SAMPLE = 1024  # longest side of the sample from which the share is counted


@dataclass(frozen=True)
class CloudMask:
    """Raster of one band that masks pixels of a date.

    Attributes:
        path: The file, on any grid.
        values: Values that mask; by default `SCL` if the name of the file or of its band has the word SCL, else all but 0.
    """

    path: PathLike
    values: Sequence[int] | None = None


class CloudMaskSource(AbstractContextManager["CloudMaskSource"]):
    """A cloud mask on the grid of a scene, read by the nearest pixel. Pixels that it does not cover are masked.

    A nodata value that the file states does not count: writers of masks state 0, which may mean that a pixel is clear.

    Args:
        mask: The mask.
        grid: Grid of the scene.
        shift: Place of the content of the date in relation to the grid, which is corrected; None for no correction.

    Attributes:
        text: Name of the file, values that mask, and the share of the scene that they mask.

    Raises:
        InputError: The file cannot be read, has several bands, or has no place on the grid.
    """

    def __init__(self, mask: CloudMask, grid: Grid, shift: Shift | None = None) -> None:
        self.path, self._grid = mask.path, grid
        with ExitStack() as stack:
            file = stack.enter_context(open_raster(mask.path, f"{mask.path}: reading masks"))
            with reading(mask.path, "damaged or truncated"):
                own = grid_of(mask.path, file)
                alpha = [meaning.name == "alpha" for meaning in file.colorinterp]
            if alpha.count(False) != 1 or alpha[0]:
                raise InputError(
                    f"{mask.path}: {file.count} bands; a mask has one, write that of the clouds to a file of its own"
                )
            is_scl = _SCL.search(Path(mask.path).stem) or _SCL.search(file.descriptions[0] or "")
            self._values = tuple(mask.values) if mask.values is not None else SCL if is_scl else None
            self._data = file if is_same(own, grid) and shift is None else stack.enter_context(self._warped(file, own, shift))
            # Alpha and masks say what the file covers, nodata values do not, see above.
            self._covers = any("per_dataset" in flag.name for flag in self._data.mask_flag_enums[0])
            step = max(1, -(-max(grid.height, grid.width) // _SAMPLE))
            sample = self.masked(out_shape=(-(-grid.height // step), -(-grid.width // step)))
            values = "all but 0" if self._values is None else ", ".join(map(str, self._values))
            self.text = f"{Path(mask.path).name}, values {values}: {sample.mean():.1%} without data"
            self._stack = stack.pop_all()

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self._stack.close()

    def masked(self, **options: Any) -> Mask:
        """Return where pixels are masked (h, w); options are `window` or `out_shape` (h, w) of `rasterio.DatasetReader.read`."""
        with reading(self.path, "the mask cannot be read"):
            values = self._data.read(1, **options)
            covered = self._data.read_masks(1, **options) > 0 if self._covers else True
        found = values != 0 if self._values is None else np.isin(values, self._values)
        return np.asarray(found | ~np.asarray(covered, np.bool_))

    def _warped(self, file: Any, own: Grid, shift: Shift | None) -> Any:
        offset = (0.0, 0.0) if shift is None else correction(own, self._grid, shift)
        return resampled(self.path, file, own, self._grid, None, file.count > 1, offset, nearest=True)
