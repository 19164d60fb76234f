"""Shift between two images of one place, estimated from the directions of their edges in several windows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LIMIT = 2.0
"""Shift in pixels above which a pair is named."""
_SIDES = (256, 128)  # of windows in pixels, for images of at least twice that size, and for smaller ones
_SMALLEST = 64  # side of an image in pixels
_PER_AXIS = 4  # windows
_CLEAR = 10.0  # least height of the peak of the correlation, in standard deviations; wrong ones reach 8 in real images
_AGREE = 1.5  # pixels between the shift of a window and the median; buildings lean differently from place to place
_LEAST = 0.25  # share of the windows that are clear and agree
_CUTOFF = 0.2  # of the low-pass filter, in cycles per pixel


@dataclass(frozen=True)
class Shift:
    """Place of the second image in relation to the first.

    Attributes:
        x: Columns by which its content lies to the right of that of the first image.
        y: Rows by which it lies below.
        agreeing: Number of windows with this shift.
        windows: Number of windows.
    """

    x: float
    y: float
    agreeing: int
    windows: int

    @property
    def size(self) -> float:
        """Length in pixels."""
        return float(np.hypot(self.x, self.y))

    @property
    def text(self) -> str:
        """Description, such as "5.0 px to the right and 3.1 px below"."""
        x = f"{abs(self.x):.1f} px to the {'right' if self.x > 0 else 'left'}"
        return f"{x} and {abs(self.y):.1f} px {'below' if self.y > 0 else 'above'}"


def registration_windows(height: int, width: int) -> list[tuple[slice, slice]]:
    """Return the rows and columns of up to sixteen square windows, spread over an image, in which its shift is estimated.

    There are none for small images.
    """
    shorter = min(height, width)
    if shorter < _SMALLEST:
        return []
    side = _SIDES[0] if shorter >= 2 * _SIDES[0] else min(_SIDES[1], shorter)
    rows, columns = (_starts(size, side) for size in (height, width))
    return [(slice(y, y + side), slice(x, x + side)) for y in rows for x in columns]


def _starts(size: int, side: int) -> list[int]:
    count = min(_PER_AXIS, 2 * size // side - 1)  # neighbors overlap by half at most
    return [round(place) for place in np.linspace(0, size - side, count)]


def estimate_shift(pairs: Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any]]]) -> Shift | None:
    """Return the shift on which windows of two images agree; None if too few do, as where most of the ground changed.

    The shift of a window is that of the highest correlation of the directions of gradients (Fitch et al., Orientation
    correlation, 2002), with a whitened spectrum, to a part of a pixel by a parabola. The result is the mean of the clear
    ones that are close to their median.

    Args:
        pairs: Square windows (h, w, bands) of both images; NaN where there is no data.
    """
    found, count = [], 0
    for before, after in pairs:
        count += 1
        if (shift := _correlate(before, after)) is not None:
            found.append(shift)
    if not found:
        return None
    shifts = np.array(found)
    agreeing = np.hypot(*(shifts - np.median(shifts, axis=0)).T) <= _AGREE
    if agreeing.sum() < max(_LEAST * count, min(2, count), len(found) / 2):
        return None
    y, x = (float(value) for value in shifts[agreeing].mean(0).round(2))
    return Shift(x, y, int(agreeing.sum()), count)


def _directions(image: npt.NDArray[Any]) -> npt.NDArray[np.complex128]:
    """Return the direction of the gradient (h, w) as a complex number of at most length 1, tapered to zero at the border.

    Directions stay where they are if the light or the colors change. They are 0 next to pixels without data.
    """
    y, x = np.gradient(image.astype(np.float64).mean(-1))
    gradient = x + 1j * y
    size = np.abs(gradient)
    known = np.isfinite(size)
    typical = np.median(size[known]) if known.any() else 0.0
    direction = np.divide(gradient, size + typical, out=np.zeros_like(gradient), where=known & (size > 0))
    return np.asarray(direction * (np.hanning(size.shape[0])[:, None] * np.hanning(size.shape[1])))


def _correlate(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> tuple[float, float] | None:
    """Return the shift (rows, columns) of the second image; None if no peak stands out."""
    cross = np.fft.fft2(_directions(after)) * np.fft.fft2(_directions(before)).conj()
    size = np.abs(cross)
    if size.max() == 0:
        return None
    rows, columns = (np.fft.fftfreq(length) for length in cross.shape)
    low = np.exp(-((rows[:, None] ** 2 + columns**2) / _CUTOFF**2))
    surface = np.fft.ifft2(cross / np.maximum(size, 1e-6 * size.max()) * low).real
    peak = np.unravel_index(np.argmax(surface), surface.shape)
    if surface[peak] < _CLEAR * surface.std():
        return None
    shift = []
    for axis, length in enumerate(surface.shape):
        line = surface[:, peak[1]] if axis == 0 else surface[peak[0]]
        place = int(peak[axis])
        left, middle, right = line[place - 1], line[place], line[(place + 1) % length]
        shift.append(place + 0.5 * (left - right) / (left - 2 * middle + right) - (length if place > length // 2 else 0))
    return shift[0], shift[1]
