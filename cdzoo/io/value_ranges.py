"""Ranges of values that suit images of more than 8 bits: reflectances, values in [0, 1], and radar, told from their numbers.

Nothing is told from numbers that may mean several things, such as those of 12-bit images.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdzoo.io.band_files import band_files
from cdzoo.io.band_names import is_sentinel_band
from cdzoo.io.files import PathLike
from cdzoo.io.rasters import open_raster, reading, require_rasterio, valid_pixels
from cdzoo.io.reflectance import OFFSET, RANGE, UNIT, dark_ground, date_offsets
from cdzoo.io.scaling import Scaling
from cdzoo.io.values import stored_values

DECIBELS = (-25.0, 0.0)
"""Decibels that map to 0 and 1 by default."""
_SAMPLE = 256  # longest side of the sample of an image
_SENTINEL_2 = re.compile(r"(?:^|[\W_])(S2[A-D]_(OPER_)?MSI|T\d\d[A-Z]{3}_\d{8}T)", re.IGNORECASE)
_POLARIZATION = re.compile(r"(?:^|[\W_])(VV|VH|HH|HV|S1[A-D])(?:$|[\W_])", re.IGNORECASE)
_TWELVE_BITS = 4095
_BRIGHTEST = 20_000  # 0.1 % of the pixels of reflectances x 10,000 are brighter at most
_BANDS = 3  # fewer bands of numbers without names may be anything
_FEW = 3  # numbers that are no single defects
_DARKEST = 1800.0  # darkest ground of reflectances x 10,000, with the offset
_MOSTLY = 0.8  # of the numbers of decibels are negative
_SAME = 0.01  # relative difference of scales that count as equal
_SENTINEL = "reflectance x 10,000"


@dataclass(frozen=True)
class ValueSample:
    """Sample of the numbers that images of one date store.

    Attributes:
        storage: Depth, and scale and offset that the files state, as text.
        scales: Scale and offset of each band.
        names: Names of the bands, and of the file.
        pixels: Numbers (H, W, bands).
        valid: Where there are data (H, W).
    """

    storage: str
    scales: tuple[tuple[float, float], ...]
    names: tuple[str, ...]
    pixels: npt.NDArray[Any]
    valid: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Told:
    """What the numbers of a date mean.

    Attributes:
        kind: Name of the meaning.
        scaling: Range of the stored numbers.
        reason: How it was told.
    """

    kind: str
    scaling: Scaling
    reason: str

    @property
    def text(self) -> str:
        """Meaning, range and reason."""
        low, high = self.scaling.value_range or (0.0, 1.0)
        return f"{self.kind}, from {low:g} to {high:g}{' dB' if self.scaling.decibels else ''} ({self.reason})"


def sample_values(path: PathLike) -> ValueSample:
    """Return a sample of the numbers of an image, or of a folder of bands.

    Raises:
        InputError: The image cannot be read.
        MissingDependencyError: rasterio is not installed.
    """
    bands = band_files(path)
    files = [*bands.values()] or [Path(path)]
    resampling = require_rasterio("reading images of more than 8 bits").enums.Resampling
    layers, masks, scales, names, storage = [], [], [], [*bands, Path(path).stem], set[str]()
    shape: tuple[int, int] | None = None
    for file in files:
        with open_raster(file) as source, reading(file, "a sample of its pixels cannot be read"):
            step = max(1, -(-max(source.height, source.width) // _SAMPLE))
            shape = shape or (-(-source.height // step), -(-source.width // step))
            indexes = [i for i, meaning in enumerate(source.colorinterp, 1) if meaning.name != "alpha"] or [1]
            options: dict[str, Any] = {"out_shape": (len(indexes), *shape)}
            layers.append(source.read(indexes, resampling=resampling.nearest, **options).transpose(1, 2, 0))
            masks.append(valid_pixels(source, indexes, **options))
            scales += [(source.scales[index - 1], source.offsets[index - 1]) for index in indexes]
            names += [source.descriptions[index - 1] or "" for index in indexes]
            storage.add(stored_values(source, indexes))
    return ValueSample(
        ", ".join(sorted(storage)), tuple(scales), tuple(names), np.concatenate(layers, -1), np.logical_and.reduce(masks)
    )


def tell_scalings(first: Sequence[ValueSample], second: Sequence[ValueSample]) -> tuple[Told | None, Told | None]:
    """Tell what the numbers of two dates mean; None for numbers that may mean several things.

    Of dates of equal storage and number of bands, what one alone does not tell is told from both together.

    Args:
        first: Samples of images of the first date, at least one.
        second: Of the second date.
    """
    found = [_told(first), _told(second)]
    kinds = [(one[0].storage, one[0].pixels.shape[2]) for one in (first, second)]
    if kinds[0] == kinds[1] and None in found:  # numbers of 12 bits at one date have the meaning of brighter ones at the other
        together = _told([*first, *second])
        found = [found[0] or together, found[1] or together]
    if all(one is not None and one.kind == _SENTINEL for one in found) and _both_have_offset(first[0], second[0]):
        shifted = (RANGE[0] * UNIT + OFFSET, RANGE[1] * UNIT + OFFSET)
        reason = f"both dates have the offset of {OFFSET:g} of Sentinel-2"
        found = [one and replace(one, scaling=Scaling(shifted), reason=reason) for one in found]
    return found[0], found[1]


def _told(samples: Sequence[ValueSample]) -> Told | None:
    one = samples[0]
    values = np.concatenate([sample.pixels[sample.valid].ravel() for sample in samples])
    values = values[np.isfinite(values)]
    if any(other.storage != one.storage for other in samples) or not len(values):
        return None
    low, middle, high = np.quantile(values, [0.001, 0.5, 0.999]).tolist()
    names = [name for sample in samples for name in sample.names]
    is_sentinel = sum(map(is_sentinel_band, {*names})) > 1 or any(map(_SENTINEL_2.search, names))
    named = "named as Sentinel-2" if is_sentinel else ""
    stated = sorted({*one.scales})
    if any(abs(scale * UNIT - 1) > _SAME for scale, _ in stated) and stated != [(1.0, 0.0)]:
        return _stated(*stated[0], low, high) if len(stated) == 1 else None
    if stated != [(1.0, 0.0)]:
        named = named or f"the file states scale {stated[0][0]:g}"
    if any(map(_POLARIZATION.search, names)):
        return _radar(low, middle, high, "named as radar")
    if one.pixels.dtype.kind == "f" and middle < 0:
        return _radar(low, middle, high, "negative floating point") if (values < 0).mean() > _MOSTLY else None
    if one.pixels.dtype.kind == "f" and -0.2 <= low and high <= 2:
        if is_sentinel:
            return Told("reflectance", Scaling(RANGE), f"{named}, and numbers of about 0 to 1")
        # Linear radar has few bands, and is mostly dark.
        is_picture = one.pixels.shape[2] >= _BANDS or (middle > 0.15 and values.max() <= 1)
        return Told("values", Scaling((0.0, 1.0)), "floating point of about 0 to 1") if is_picture else None
    is_deep = bool(np.count_nonzero(values > _TWELVE_BITS) >= _FEW)
    return _integers(samples, named, low, high, is_deep)


def _stated(scale: float, offset: float, low: float, high: float) -> Told | None:
    """Return the meaning of numbers with another scale than that of Sentinel-2, if they are reflectances by it."""
    if not (scale > 0 and -0.3 <= offset + scale * low < offset + scale * high <= 3):
        return None
    first, last = (round((limit - offset) / scale, 3) for limit in RANGE)
    return Told("reflectance", Scaling((first, last)), f"the file states scale {scale:g} and offset {offset:g}")


def _integers(samples: Sequence[ValueSample], named: str, low: float, high: float, is_deep: bool) -> Told | None:
    """Return that numbers are reflectances x 10,000 if their names say so, or if they are dark, bright, and of several bands."""
    if high <= 100 or low < -0.2 * UNIT:
        return None
    if not named:
        bands = samples[0].pixels.shape[2]
        grounds = [ground for sample in samples if (ground := dark_ground(sample.pixels, sample.valid)) is not None]
        if (
            bands < _BANDS
            or not is_deep
            or high > _BRIGHTEST
            or not grounds
            or min(ground.level for ground in grounds) > _DARKEST
        ):
            return None
        named = f"{bands} bands with dark ground and more than 12 bits"
    return Told(_SENTINEL, Scaling((RANGE[0] * UNIT, RANGE[1] * UNIT)), named)


def _radar(low: float, middle: float, high: float, reason: str) -> Told | None:
    if -80 <= low and -45 <= middle <= -2 and high <= 30:
        return Told("decibels of radar", Scaling(DECIBELS), reason)
    if low >= 0 and 1e-4 < middle < 2 and high < 1000:
        return Told("linear intensities of radar", Scaling(DECIBELS, decibels=True), reason)
    return None


def _both_have_offset(first: ValueSample, second: ValueSample) -> bool:
    grounds = [dark_ground(sample.pixels, sample.valid) for sample in (first, second)]
    return date_offsets(*grounds).found == (True, True)


def needs_range(kind: str, scaling: Scaling) -> bool:
    """Return whether numbers of a type, such as `"uint16"`, cannot be read without a range that is not given."""
    return kind != "uint8" and scaling.value_range is None and scaling.percentiles is None


def describe_told(names: Sequence[str], kinds: Sequence[str], told: Mapping[int, Told]) -> list[str]:
    """Return a line about each date whose meaning was told, or one about both if they are read alike.

    Args:
        names: Name of each date.
        kinds: Type of its numbers, such as `"uint16"`.
        told: What they mean, by the number of the date, 0 or 1.
    """
    lines = {number: f"{kinds[number]}, read as {one.text}" for number, one in told.items()}
    if len(lines) == 2 and lines[0] == lines[1]:
        both = names[0] if names[0] == names[1] else f"{names[0]}, {names[1]}"
        return [f"{both}: {lines[0]}; change with --value-range"]
    options = ("--value-range", "--value-range-after")
    return [f"{names[number]}: {line}; change with {options[number]}" for number, line in lines.items()]


def filled_scalings(
    paths: Sequence[PathLike], kinds: Sequence[str], scalings: tuple[Scaling, Scaling]
) -> tuple[tuple[Scaling, Scaling], list[str]]:
    """Return the scaling of both dates, told from their numbers where none is given, and lines about what was told.

    Args:
        paths: Image of each date.
        kinds: Type of its numbers, such as `"uint16"`.
        scalings: What is given; returned as it is if a date needs a range and nothing can be told.

    Raises:
        InputError: An image cannot be read.
    """
    missing = [number for number in (0, 1) if needs_range(kinds[number], scalings[number])]
    if not missing:
        return scalings, []
    told = tell_scalings([sample_values(paths[0])], [sample_values(paths[1])])
    found = {number: one for number in missing if (one := told[number]) is not None}
    if len(found) < len(missing):
        return scalings, []
    first, second = (found[number].scaling if number in found else scalings[number] for number in (0, 1))
    return (first, second), describe_told([Path(path).name for path in paths], kinds, found)
