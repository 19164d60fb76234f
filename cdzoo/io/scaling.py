"""`Scaling`: how stored values of an image become values in [0, 1], with decibels and percentiles for radar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.errors import ConfigError, InputError
from cdzoo.io.images import Valid, check_value_range, read_image_and_valid

SAMPLE = 1024
"""Longest side of the overview from which percentiles are computed."""
Limits = tuple[tuple[float, float], ...] | None
"""Values of each band that map to 0 and 1; None for values that are not scaled."""


@dataclass(frozen=True)
class Scaling:
    """Scaling of the values of one date.

    Attributes:
        value_range: (min, max) mapped to [0, 1], in decibels if the values are converted to them. Values beyond it are clipped in
            decibels only.
        percentiles: Percentiles of each band of an image that are mapped to 0 and 1, with clipping, instead of `value_range`.
        decibels: Whether values are intensities of radar, converted by 10 log10(x) first. Zero and negative values become 0. For
            amplitudes, 20 log10(x), halve the range.

    Raises:
        ConfigError: The numbers are not ascending, both or (in decibels) none of range and percentiles are given.
    """

    value_range: tuple[float, float] | None = None
    percentiles: tuple[float, float] | None = None
    decibels: bool = False

    def __post_init__(self) -> None:
        """Validate the fields."""
        check_value_range(self.value_range)
        if self.percentiles is not None and not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ConfigError(f"percentiles must be two ascending numbers from 0 to 100, got {self.percentiles}")
        if self.value_range is not None and self.percentiles is not None:
            raise ConfigError("pass value_range or percentiles for a date, not both")
        if self.decibels and self.value_range is None and self.percentiles is None:
            raise ConfigError("decibels need what maps to 0 and 1: a value_range in decibels, such as [-25, 0], or percentiles")

    def read(
        self, path: str | Path, bands: int, select: Sequence[int | str] | None = None, like: str | Path | None = None
    ) -> tuple[npt.NDArray[Any], Valid | None]:
        """Read an image as (H, W, bands), and where it has data (H, W), see `read_image_and_valid`.

        Raises:
            InputError: As for `read_image_and_valid`; or the percentiles of a band are equal.
        """
        if not self.clips:
            return read_image_and_valid(path, bands, self.value_range, select, like)
        pixels, valid = read_image_and_valid(path, bands, (0.0, 1.0), select, like)  # as float32, unchanged
        present = np.ones(pixels.shape[:2], np.bool_) if valid is None else valid
        step = max(1, -(-max(pixels.shape[:2]) // SAMPLE))
        limits = self.limits(path, pixels[::step, ::step], present[::step, ::step])
        return self.apply(path, pixels, present, limits), valid

    @property
    def clips(self) -> bool:
        """Whether scaled values are clipped to [0, 1]."""
        return self.percentiles is not None or self.decibels

    def limits(self, path: str | Path, pixels: npt.NDArray[Any], valid: Valid) -> Limits:
        """Return what maps to 0 and 1 in each band of an image; None for values that are not scaled.

        Args:
            path: The image, for messages.
            pixels: Stored values (h, w, bands) of an overview, whose longest side is `SAMPLE` or less.
            valid: Where it has data (h, w).

        Raises:
            InputError: The percentiles of a band are equal.
        """
        if self.percentiles is None:
            return None if self.value_range is None else (self.value_range,) * pixels.shape[2]
        found = []
        values, positive = self._converted(pixels)
        for band in range(pixels.shape[2]):
            sample = values[..., band][valid & positive[..., band]]
            low, high = np.percentile(sample, self.percentiles) if len(sample) else (0.0, 0.0)
            if not low < high:
                raise InputError(
                    f"{path}: the percentiles {self.percentiles[0]:g} and {self.percentiles[1]:g} of a band are equal, or it has "
                    "no values; give its value_range instead"
                )
            found.append((float(low), float(high)))
        return tuple(found)

    def apply(self, path: str | Path, pixels: npt.NDArray[Any], valid: Valid, limits: Limits) -> npt.NDArray[Any]:
        """Return pixels (H, W, bands) as float32 in [0, 1], or as stored if they have 8 bits and there are no limits.

        Those without data are 0.

        Args:
            path: The image, for messages.
            pixels: Stored values.
            valid: Where they are data (H, W).
            limits: See `limits`.

        Raises:
            InputError: Values of more than 8 bits have no limits.
        """
        if limits is None:
            if pixels.dtype != np.uint8:
                raise InputError(
                    f"{path}: {pixels.dtype} values; pass the (min, max) that map to [0, 1], for example --value-range 0 4095, "
                    "or percentiles of the image: --percentiles 2 98; of the second date alone: --value-range-after, "
                    "--percentiles-after"
                )
            return np.where(valid[..., None], pixels, np.uint8(0))
        values, positive = self._converted(pixels)
        for band, (low, high) in enumerate(limits):
            layer, used = values[..., band], valid & positive[..., band]
            # With clipping in float32, as scenes are scaled, to the bit.
            lower, upper = (np.float32(low), np.float32(high)) if self.clips else (low, high)
            scaled = (layer - lower) / (upper - lower)
            values[..., band] = np.where(used, scaled.clip(0, 1) if self.clips else scaled, 0)
        return np.ascontiguousarray(values, np.float32)

    def _converted(self, pixels: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], Valid]:
        """Return pixels as float32, in decibels if they are wanted, and which of them have a value."""
        values = np.array(pixels, np.float32)
        if not self.decibels:
            return values, np.ones(values.shape, np.bool_)
        positive = values > 0
        return 10 * np.log10(np.where(positive, values, np.float32(1))), positive


def date_scalings(
    value_range: tuple[float, float] | None = None,
    value_range_after: tuple[float, float] | None = None,
    percentiles: tuple[float, float] | None = None,
    percentiles_after: tuple[float, float] | None = None,
    decibels: str | None = None,
) -> tuple[Scaling, Scaling]:
    """Return the scaling of the first date, and of the later ones.

    Args:
        value_range: Range of values of the first date, see `Scaling`.
        value_range_after: Range of the later dates; by default they have that or the percentiles of the first date.
        percentiles: Percentiles of the first date.
        percentiles_after: Percentiles of the later dates.
        decibels: Dates that are converted to decibels: `"before"`, `"after"` or `"both"`.

    Raises:
        ConfigError: Numbers are not ascending, or a date has both a range and percentiles, or decibels without either.
    """
    check_value_range(value_range_after, "value_range_after")
    if value_range_after is not None and percentiles_after is not None:
        raise ConfigError("pass value_range_after or percentiles_after, not both")
    own = value_range_after is not None or percentiles_after is not None
    later = (value_range_after, percentiles_after) if own else (value_range, percentiles)
    return Scaling(value_range, percentiles, decibels in ("before", "both")), Scaling(*later, decibels in ("after", "both"))
