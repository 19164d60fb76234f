"""`Source`: interface of images that are read window by window."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cdzoo.tiling import Window

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


class Source(Protocol):
    """Image of any size.

    Attributes:
        height: Height in pixels.
        width: Width in pixels.
        bands: Number of bands.
    """

    height: int
    width: int
    bands: int

    def read(self, window: Window) -> tuple[Array, Mask]:
        """Return the pixels of a window (height, width, bands), uint8 or float32 in [0, 1], and where they are valid."""
        ...


class ArraySource:
    """Source of the pixels of an array (H, W, bands), uint8 or float32 in [0, 1]; all of them are valid."""

    def __init__(self, pixels: Array) -> None:
        self.pixels = pixels
        self.height, self.width, self.bands = pixels.shape

    def read(self, window: Window) -> tuple[Array, Mask]:
        """Return the pixels of a window, and where they are valid."""
        pixels = self.pixels[window.slices]
        return pixels, np.ones(pixels.shape[:2], np.bool_)
