"""Change masks with the values 0/1, 0/255 or noise around 0 and 255: detection and validation of the encoding."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import numpy as np

from cdzoo.errors import InputError
from cdzoo.io.images import UInt8, read_gray

_SAMPLED = 64  # number of masks from which the encoding is detected
_NEAR = 48  # values that are less than this away from 0 or 255 are near it
_CLEAR_SHARE = 0.95  # minimum fraction of such values in a noisy mask


class MaskEncoding(str, Enum):
    """Encoding of change in a mask file."""

    ONE = "0/1"
    FULL = "0/255"
    THRESHOLD = "threshold"
    """Values of at least 128 are change, for masks that were JPEG-compressed or resized."""


def read_mask(path: str | Path, encoding: MaskEncoding | None = None) -> UInt8:
    """Read a change mask as (H, W) with values 0 and 1.

    Args:
        path: Image file with one band, or with equal bands.
        encoding: Required encoding; None accepts 0/1 and 0/255.

    Raises:
        InputError: The file is missing, truncated, in color, has more than 8 bits, or has values that `encoding` does not allow.
    """
    return to_change(path, read_gray(path), encoding)


def to_change(path: str | Path, pixels: UInt8, encoding: MaskEncoding | None) -> UInt8:
    """Convert the values of a mask (H, W), read from `path`, to 0 and 1.

    Raises:
        InputError: The mask has values that `encoding` does not allow.
    """
    if encoding is MaskEncoding.THRESHOLD:
        if _near_share(pixels) < _CLEAR_SHARE:
            raise InputError(f"{path}: the mask has values {_shown(pixels)}, not noise around 0 and 255")
        return (pixels >= 128).astype(np.uint8)
    is_one, is_full = not np.any(pixels > 1), not np.any((pixels > 0) & (pixels < 255))
    if {None: is_one or is_full, MaskEncoding.ONE: is_one, MaskEncoding.FULL: is_full}[encoding]:
        return (pixels > 0).astype(np.uint8)
    expected = f"{encoding.value} as in the other masks" if encoding else "0/1 or 0/255"
    hint = "; read noisy masks with --mask-encoding threshold" if encoding is MaskEncoding.FULL else ""
    raise InputError(f"{path}: the mask has values {_shown(pixels)}; expected {expected}{hint}")


def detect_encoding(paths: Sequence[Path]) -> MaskEncoding:
    """Detect the encoding of a data set from about 64 of its masks, evenly spaced.

    Raises:
        InputError: The masks have different encodings, or values of no encoding; the files are named.
    """
    seen: dict[MaskEncoding, Path] = {}
    unclear: dict[Path, str] = {}
    for path in paths[:: max(1, len(paths) // _SAMPLED)]:
        pixels = read_gray(path)
        if not pixels.any():
            continue  # valid in every encoding
        encoding = _encoding_of(pixels)
        if encoding is None:
            unclear[path] = _shown(pixels)
        else:
            seen.setdefault(encoding, path)
    for path, values in unclear.items():
        # A noisy mask without change looks like class labels; it is accepted if other masks of the data set are noisy.
        if MaskEncoding.THRESHOLD not in seen or _near_share(read_gray(path)) < _CLEAR_SHARE:
            raise InputError(
                f"{path}: the mask has values {values}; expected 0/1, 0/255 or noise around 0 and 255 "
                f"(convert class labels to changed and unchanged first)"
            )
    if MaskEncoding.ONE in seen and len(seen) > 1:
        found = "; ".join(f"{path} is {encoding.value}" for encoding, path in seen.items())
        raise InputError(f"the masks have different encodings: {found}. Convert all of them to 0/255")
    if MaskEncoding.THRESHOLD in seen:
        return MaskEncoding.THRESHOLD
    return next(iter(seen), MaskEncoding.FULL)


def _encoding_of(pixels: UInt8) -> MaskEncoding | None:
    if pixels.max() <= 1:
        return MaskEncoding.ONE
    if np.isin(pixels, (0, 255)).all():
        return MaskEncoding.FULL
    # Class labels (0, 1, 2, ...) are near 0 as well, so noise must be near 255 too.
    return MaskEncoding.THRESHOLD if _near_share(pixels) >= _CLEAR_SHARE and pixels.max() > 255 - _NEAR else None


def _near_share(pixels: UInt8) -> float:
    return float(((pixels < _NEAR) | (pixels > 255 - _NEAR)).mean())


def _shown(pixels: UInt8) -> str:
    values = np.unique(pixels)
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
