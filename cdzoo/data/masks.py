"""Change masks: what the values of a data set's masks mean, declared or detected from all of them, and checked in every file."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.mask_values import (
    CLEAR_SHARE,
    NEAR,
    Counts,
    Histogram,
    count_mask,
    count_scene_mask,
    count_stored,
    count_values,
    is_noise,
    near_share,
    read_values,
    shown_values,
)
from cdzoo.errors import ConfigError, InputError
from cdzoo.io.images import UInt8
from cdzoo.io.placement import (
    Placement,
    attribute_values,
    is_vector,
    placed_table,
)

_THREADS = 4  # that decode masks
_LISTED = 8
_UNDEFINED = 254


@dataclass(frozen=True)
class MaskEncoding:
    """Meaning of the values of mask files.

    Attributes:
        value: `"threshold"`: values of at least 128 are change, for masks that were JPEG-compressed or resized. Or the value for
            no change, that for change, and those of pixels without a label, which are left out of losses and scores, joined by
            slashes: `"0/1"`, `"0/255"`, `"0/1/255"`, `"1/2/0"`.

    Raises:
        ConfigError: `value` is neither.
    """

    value: str
    ONE: ClassVar[MaskEncoding]
    FULL: ClassVar[MaskEncoding]
    THRESHOLD: ClassVar[MaskEncoding]

    def __post_init__(self) -> None:
        """Validate the values."""
        numbers = self.value.split("/")
        valid = len(numbers) > 1 and all(number.isdecimal() and int(number) < 256 for number in numbers)
        if self.value != "threshold" and not (valid and len(set(map(int, numbers))) == len(numbers)):
            raise ConfigError(
                f"mask_encoding must be 'threshold', or the different values (0 to 255) for no change, change and, if there are "
                f"any, pixels without a label, such as '0/1', '0/255' or '0/1/255'; got {self.value!r}"
            )

    @property
    def values(self) -> tuple[int, ...]:
        """Allowed values: no change, change, then those without a label; empty for `"threshold"`."""
        return () if self.value == "threshold" else tuple(map(int, self.value.split("/")))


MaskEncoding.ONE, MaskEncoding.FULL, MaskEncoding.THRESHOLD = map(MaskEncoding, ("0/1", "0/255", "threshold"))


def read_mask(
    path: str | Path, encoding: MaskEncoding | None = None, placement: Placement | None = None, indexed: bool = False
) -> UInt8:
    """Read a change mask as (H, W) with values 0, 1, and 255 for pixels without a label.

    Args:
        path: Image file with one band, or with equal bands; or polygons.
        encoding: Required encoding; None accepts 0/1 and 0/255.
        placement: What places polygons, or a mask on another grid than the images.
        indexed: Whether the values of a palette with colors are meant; they are if an encoding is given.

    Raises:
        InputError: The file is missing, truncated, in color, has more than 8 bits, or has values that `encoding` does not allow.
    """
    pixels = read_values(path, placement, indexed or encoding is not None)
    if encoding is None:
        histogram = count_stored(pixels)
        encoding = next((each for each in (MaskEncoding.ONE, MaskEncoding.FULL) if not _strange(histogram, each)), None)
        if encoding is None:
            raise InputError(f"{path}: the mask has values {shown_values(histogram)}; expected 0/1 or 0/255, {_ADVICE}")
    change = placed_table(_table(encoding))[pixels]
    if encoding == MaskEncoding.THRESHOLD or (change == _UNDEFINED).any():
        _check(path, count_stored(pixels), encoding)
    return change


def find_encoding(paths: Sequence[Path], declared: MaskEncoding | None = None) -> tuple[MaskEncoding, dict[Path, Counts]]:
    """Read all masks of a data set, and return their encoding and the pixel counts of each file, see `count_masks`."""
    encoding, counts = count_masks(paths, declared)
    return encoding, dict(zip(paths, counts, strict=True))


def count_masks(
    paths: Sequence[Path], declared: MaskEncoding | None = None, placements: Sequence[Placement | None] | None = None
) -> tuple[MaskEncoding, list[Counts]]:
    """Read all masks of a data set, and return their encoding and the pixel counts of each one.

    Args:
        paths: Mask files.
        declared: Encoding that the masks must have; detected by default.
        placements: What places each mask that is not stored on the grid of its images.

    Raises:
        InputError: A mask cannot be read, or has values that are not declared; or the encoding cannot be detected, because the
            masks have different encodings or values that may mean anything. The files are named.
    """
    found: list[tuple[Path, Histogram]] = []
    placed: list[Counts] = []
    problems: list[str] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        count = functools.partial(count_mask, indexed=declared is not None)
        for path, result in zip(paths, pool.map(count, paths, placements or [None] * len(paths)), strict=True):
            if isinstance(result, InputError):
                problems.append(str(result))
            else:
                found.append((path, result[0]))
                placed.append(result[1])
    _raise_problems(problems)
    encoding = _fitting(found, declared)
    kinds = [_table(encoding) == kind for kind in (0, 1, IGNORE_INDEX)]
    counts = [[int(histogram[kind].sum()) for kind in kinds] for _, histogram in found]
    return encoding, [(a + b, c + d, e + f) for (a, c, e), (b, d, f) in zip(counts, placed, strict=True)]


def scene_encoding(masks: Sequence[tuple[Path, str | None]], declared: MaskEncoding | None = None) -> MaskEncoding:
    """Return the encoding of masks of any size, which are read in parts.

    Args:
        masks: Each file, and the attribute of its polygons that holds their values; their polygons are counted, not their pixels.
        declared: Encoding that the masks must have; detected by default.

    Raises:
        InputError: As for `count_masks`.
    """
    found = []
    for path, attribute in masks:
        if not is_vector(path):
            found.append((path, count_scene_mask(path, declared is not None)))
        elif attribute is not None:
            found.append((path, count_values(np.array(attribute_values(path, attribute), np.uint8))))
    return _fitting(found, declared)


def check_encoding(title: str, values: UInt8, declared: MaskEncoding | None = None) -> MaskEncoding:
    """Return the encoding of a mask in memory, named by `title` in messages; otherwise like `count_masks`."""
    return _fitting([(Path(title), count_values(values))], declared)


def _fitting(found: list[tuple[Path, Histogram]], declared: MaskEncoding | None) -> MaskEncoding:
    """Return the declared encoding of masks, or the one that is detected, after checking that all of them have it."""
    encoding = declared or _detect(found)
    problems: list[str] = []
    for path, histogram in found:
        try:
            _check(path, histogram, encoding)
        except InputError as error:
            problems.append(str(error))
    if encoding == MaskEncoding.THRESHOLD:
        _check_reached(found)
    _raise_problems(problems)
    return encoding


def _raise_problems(problems: Sequence[str]) -> None:
    if problems:
        more = f"\nand {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        raise InputError("\n".join(problems[:_LISTED]) + more)


def _detect(masks: Sequence[tuple[Path, Histogram]]) -> MaskEncoding:
    """Return 0/1, 0/255, or `threshold` if the values of masks are noise around 0 and 255.

    Raises:
        InputError: The masks have different encodings, or values of none of them; files are named.
    """
    kinds: dict[MaskEncoding, Path] = {}
    others: dict[Path, Histogram] = {}
    for path, histogram in masks:
        kind = next((each for each in (MaskEncoding.ONE, MaskEncoding.FULL) if not _strange(histogram, each)), None)
        if kind is None:
            others[path] = histogram
        elif histogram[1:].any():  # a mask of zeros is valid in every encoding
            kinds.setdefault(kind, path)
    if others and is_noise(sum(others.values(), np.zeros(256, np.int64))):
        kinds[MaskEncoding.THRESHOLD] = next(iter(others))
    elif others:
        path, histogram = next(iter(others.items()))
        also = f" (and {len(others) - 1} more masks)" if len(others) > 1 else ""
        raise InputError(f"{path}{also}: the mask has values {shown_values(histogram)}; expected 0/1, 0/255 or noise, {_ADVICE}")
    if MaskEncoding.ONE in kinds and len(kinds) > 1:
        each = "; ".join(f"{path} is {kind.value}" for kind, path in kinds.items())
        raise InputError(
            f"the masks have different encodings: {each}. Convert all of them to 0/255; or, if 255 means that pixels have no "
            "label, declare it: --mask-encoding 0/1/255"
        )
    return MaskEncoding.THRESHOLD if MaskEncoding.THRESHOLD in kinds else next(iter(kinds), MaskEncoding.FULL)


_ADVICE = (
    "or declare what the values mean with --mask-encoding, or mask_encoding in a classes.json: those of no change, change and no "
    "label, such as 0/1/255, or threshold for noise around 0 and 255 (class labels must be converted to changed and unchanged "
    "first)"
)


def _check(path: str | Path, histogram: Histogram, encoding: MaskEncoding) -> None:
    """Raise `InputError` if a mask has values that its encoding does not allow."""
    if encoding == MaskEncoding.THRESHOLD and near_share(histogram) < CLEAR_SHARE:
        raise InputError(f"{path}: the mask has values {shown_values(histogram)}, not noise around 0 and 255")
    if _strange(histogram, encoding):
        raise InputError(
            f"{path}: the mask has values {shown_values(histogram)}; expected {encoding.value} as in the other masks, or declare "
            "what is right for all of them with --mask-encoding"
        )


def _check_reached(masks: Sequence[tuple[Path, Histogram]]) -> None:
    """Raise `InputError` if no mask has values near 255, although some have other values than 0."""
    positive = [(path, histogram) for path, histogram in masks if histogram[1:256].any()]
    if positive and not any(histogram[256 - NEAR : 256].any() for _, histogram in positive):
        path, histogram = positive[0]
        raise InputError(
            f"{path}: the mask has values {shown_values(histogram)}, and no mask has values near 255, so that none would have "
            "change at a threshold of 128; declare another --mask-encoding, such as 0/1"
        )


def _strange(histogram: Histogram, encoding: MaskEncoding) -> set[int]:
    """Return the values of a mask that an encoding does not define."""
    return set(np.flatnonzero(histogram[_table(encoding) == _UNDEFINED])) if encoding.values else set()


def _table(encoding: MaskEncoding) -> UInt8:
    """Return what each of the 256 values means: 0, 1, `IGNORE_INDEX` or `_UNDEFINED`."""
    if not encoding.values:
        return (np.arange(256) >= 128).astype(np.uint8)
    table = np.full(256, _UNDEFINED, np.uint8)
    table[list(encoding.values)] = (0, 1, *(IGNORE_INDEX for _ in encoding.values[2:]))
    return table
