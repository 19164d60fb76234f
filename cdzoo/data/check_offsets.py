"""Offset of Sentinel-2 reflectances in the pairs of a split, see `cdzoo.io.reflectance`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from cdzoo.io.reflectance import DateOffsets, dark_ground, date_offsets

_SAMPLE = 512  # longest side of the sample of pixels
_SHOWN = 8  # pairs


def pair_offsets(images: Sequence[npt.NDArray[Any]]) -> DateOffsets | None:
    """Return which of two images have the offset.

    Args:
        images: Stored numbers (H, W, bands) of both dates, NaN where they have no data.

    Returns:
        None if no image has bands of reflectances.
    """
    step = max(1, -(-max(images[0].shape[:2]) // _SAMPLE))
    first, second = (dark_ground(image[::step, ::step]) for image in images)
    return None if first is None and second is None else date_offsets(first, second)


def describe_offsets(split: str, offsets: Mapping[str, DateOffsets]) -> list[str]:
    """Return notes about the pairs of a split whose dates differ, and about images with and without the offset."""
    notes = []
    if differ := {name: found for name, found in offsets.items() if found.differ}:
        shown = "; ".join(f"{name} {found.levels[0]:.0f} and {found.levels[1]:.0f}" for name, found in [*differ.items()][:_SHOWN])
        notes.append(
            f"split '{split}': in {len(differ)} of {len(offsets)} pairs examined, the darkest ground of the dates differs by "
            f"about 1000: {shown}{', ...' if len(differ) > _SHOWN else ''}. If they are from Sentinel-2, one date has the offset "
            "of processing baseline 04.00, which shows as change; subtract 1000 from it before training"
        )
    counts = Counter(
        found for pair in offsets.values() for found, level in zip(pair.found, pair.levels, strict=True) if not math.isnan(level)
    )
    if counts[True] and counts[False] and not differ:
        notes.append(
            f"split '{split}': if the images are from Sentinel-2, {counts[True]} have the offset of 1000 of processing baseline "
            f"04.00, {counts[False]} do not, and of {counts[None]} it cannot be told; subtract it before training"
        )
    return notes
