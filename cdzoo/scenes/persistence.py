"""Rule by which a change in a series of images is lasting, passing or unconfirmed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cdzoo.constants import IGNORE_INDEX
from cdzoo.io.images import UInt8

NO_CHANGE, LASTING, PASSING, UNCONFIRMED = range(4)
KINDS = ("no change", "lasting change", "passing change", "unconfirmed change")
"""Names of the values of `Persistence.kind`."""
CONFIRMATIONS = 2
"""Number of later dates at which a change must be seen again to be lasting; one, if there is no second."""


class Persistence(NamedTuple):
    """What the images of a series show at each pixel. Images are counted from 1.

    Attributes:
        kind: Value (H, W) of `KINDS`; 255 if the first image, or all others, have no data.
        first: First image (H, W) of a lasting change; 0 for others, 255 without data.
        last_before: Last image with data (H, W) before it; the change happened after that one, and until the first. 0 and 255 as
            for `first`.
    """

    kind: UInt8
    first: UInt8
    last_before: UInt8


def persistence(states: npt.NDArray[np.uint8]) -> Persistence:
    """Classify the changes of each pixel against the first image of a series.

    With "next" and "last" among the images that have data at the pixel:

    - The change is lasting from image k if image k and the next two show a change, or the next one if only one is left. The first
      such k is its date.
    - It is passing if it is not lasting, and an image that shows a change is followed by one that does not.
    - It is unconfirmed if it is seen at the last image only.

    Images without data neither confirm nor refute a change. In a series of two images, for which nothing can be confirmed, a
    change counts as lasting, as in a map of the pair.

    The kinds leave out no change. All images are compared with the first one, so a false alarm that is caused by it, such as a
    cloud, is lasting, with the second image as its date.

    Args:
        states: Change (K - 1, H, W) from the first image to each of the images 2 to K, in their order: 1 for change, 0 for no
            change, 255 where one of the two has no data.
    """
    known, changed = states != IGNORE_INDEX, states == 1
    count, *shape = states.shape
    following = [np.full(shape, IGNORE_INDEX, np.uint8) for _ in range(CONFIRMATIONS)]  # of the next images with data
    first, is_passing, is_refuted = np.zeros(shape, np.uint8), np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    for index in reversed(range(count)):
        is_seen_again = (following[0] == 1) | (count == 1)
        is_lasting = changed[index] & is_seen_again & (following[1] != 0)
        first[is_lasting] = index + 2
        is_passing |= changed[index] & is_refuted
        is_refuted |= known[index] & ~changed[index]
        following = [
            np.where(known[index], states[index], following[0]),
            np.where(known[index], following[0], following[1]),
        ]
    has_data = known.any(0)
    last = np.ones(shape, np.uint8)
    last_before = np.zeros(shape, np.uint8)
    for index in range(count):
        at = first == index + 2
        last_before[at] = last[at]
        last[known[index]] = index + 2
    kind = np.select([first > 0, is_passing, changed.any(0)], [LASTING, PASSING, UNCONFIRMED], NO_CHANGE).astype(np.uint8)
    for values in (kind, first, last_before):
        values[~has_data] = IGNORE_INDEX
    return Persistence(kind, first, last_before)


def series_probability(probability: npt.NDArray[np.float32], found: Persistence) -> npt.NDArray[np.float32]:
    """Return one probability of change (H, W) of a series; NaN without data.

    That of a lasting change is the smallest of the images that show and confirm it; else the largest one. It reaches the
    threshold where there is a change of any kind.

    Args:
        probability: Probability (K - 1, H, W) of change from the first image to each other, NaN where one has no data.
        found: Classes of these pixels.
    """
    smallest = np.full(probability.shape[1:], np.inf, np.float32)
    needed = np.where(found.kind == LASTING, CONFIRMATIONS + 1, 0)
    largest = np.full(probability.shape[1:], -np.inf, np.float32)
    for index, values in enumerate(probability):
        known = ~np.isnan(values)
        counts = known & (needed > 0) & (index + 2 >= found.first)
        smallest[counts] = np.minimum(smallest, values)[counts]
        needed[counts] -= 1
        largest[known] = np.maximum(largest, values)[known]
    chosen = np.where(found.kind == LASTING, smallest, largest)
    return np.where(found.kind == IGNORE_INDEX, np.nan, chosen).astype(np.float32)
