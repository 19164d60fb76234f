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

_SAMPLE = 1024  # largest side of the subsample from which percentiles are computed, as of scenes


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
        if self.percentiles is None and not self.decibels:
            return read_image_and_valid(path, bands, self.value_range, select, like)
        pixels, valid = read_image_and_valid(path, bands, (0.0, 1.0), select, like)  # as float32, unchanged
        present = np.ones(pixels.shape[:2], np.bool_) if valid is None else valid
        positive = pixels > 0 if self.decibels else np.ones_like(pixels, np.bool_)
        if self.decibels:
            pixels = 10 * np.log10(np.where(positive, pixels, np.float32(1)))
        for band in range(bands):
            limits = self.value_range or self._limits(path, pixels[..., band], present & positive[..., band])
            low, high = map(np.float32, limits)  # as scenes are scaled, to the bit
            scaled = ((pixels[..., band] - low) / (high - low)).clip(0, 1)
            pixels[..., band] = np.where(present & positive[..., band], scaled, 0)
        return np.ascontiguousarray(pixels, np.float32), valid

    def _limits(self, path: str | Path, pixels: npt.NDArray[np.float32], used: Valid) -> tuple[float, float]:
        step = max(1, -(-max(pixels.shape) // _SAMPLE))
        sample = pixels[::step, ::step][used[::step, ::step]]
        assert self.percentiles is not None
        low, high = np.percentile(sample, self.percentiles) if len(sample) else (0.0, 0.0)
        if not low < high:
            raise InputError(
                f"{path}: the percentiles {self.percentiles[0]:g} and {self.percentiles[1]:g} of a band are equal, or it has no "
                "values; give its value_range instead"
            )
        return float(low), float(high)


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
