"""Registration of the dates of a scene: their shift is measured, named, and corrected when asked for."""

from __future__ import annotations

import warnings

import numpy as np

from cdzoo.inference.sources import Array, Source
from cdzoo.io.georeference import Grid, move
from cdzoo.io.registration import LIMIT, Shift, estimate_shift, registration_windows
from cdzoo.tiling import Window


def scene_shift(before: Source, after: Source) -> Shift | None:
    """Return the shift between two dates on one grid, see `estimate_shift`."""

    def read(source: Source, window: Window) -> Array:
        pixels, valid = source.read(window)
        return np.where(valid[..., None], pixels, np.float32(np.nan))

    places = registration_windows(before.height, before.width)
    windows = [Window.of(range(rows.start, rows.stop), range(columns.start, columns.stop)) for rows, columns in places]
    return estimate_shift((read(before, window), read(after, window)) for window in windows)


def warn_of_shift(before: object, after: object, shift: Shift | None, advice: str) -> None:
    """Warn of a shift of more than `LIMIT` pixels."""
    if shift is not None and shift.size > LIMIT:
        warnings.warn(
            f"{after}: its content lies {shift.text} of that of {before} ({shift.agreeing} of {shift.windows} windows agree), "
            f"which shows as change; {advice}",
            stacklevel=4,
        )


def correction(own: Grid, grid: Grid, shift: Shift) -> tuple[float, float]:
    """Return what is added to the coordinates of a file, so that its content lies on that of another file.

    Args:
        own: Grid of the file.
        grid: Grid on which the shift was measured.
        shift: Place of the content of the file in relation to the other one.
    """
    center = grid.size / 2
    places = move(grid.coordinates(np.stack([center, center + np.array([shift.x, shift.y])])), grid.crs, own.crs)
    x, y = places[0] - places[1]
    return float(x), float(y)
