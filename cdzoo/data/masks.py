"""Masks of change: 0/1, 0/255 or noisy, recognised over a whole data set and checked in every file."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cdzoo.errors import InputError
from cdzoo.io.images import read_grey

UInt8 = npt.NDArray[np.uint8]

_SAMPLED = 64
_NEAR = 48
_CLEAR_SHARE = 0.95


class MaskEncoding(str, Enum):
    """How change is written in a mask file."""

    ONE = "0/1"
    FULL = "0/255"
    THRESHOLD = "threshold"
    """128 and above is change: masks that went through JPEG or a resize."""


def read_mask(path: str | Path, encoding: MaskEncoding | None = None) -> UInt8:
    """Read a change mask as (H, W) with values 0 and 1.

    Args:
        path: Image file of one band, or of equal ones.
        encoding: How it must be written; None takes 0/1 or 0/255, whichever it is.

    Raises:
        InputError: The file is missing, truncated, coloured, deeper than 8 bits, or has values that `encoding` does not.
    """
    return to_change(path, read_grey(path), encoding)


def to_change(path: str | Path, pixels: UInt8, encoding: MaskEncoding | None) -> UInt8:
    """Turn the values of a mask (H, W), read from `path`, into 0 and 1.

    Raises:
        InputError: It has values that `encoding` does not.
    """
    if encoding is MaskEncoding.THRESHOLD:
        if _near_share(pixels) < _CLEAR_SHARE:
            raise InputError(f"{path}: the mask has values {_shown(pixels)}, not noise around 0 and 255")
        return (pixels >= 128).astype(np.uint8)
    one, full = not np.any(pixels > 1), not np.any((pixels > 0) & (pixels < 255))
    if {None: one or full, MaskEncoding.ONE: one, MaskEncoding.FULL: full}[encoding]:
        return (pixels > 0).astype(np.uint8)
    expected = f"{encoding.value} as in the other masks" if encoding else "0/1 or 0/255"
    hint = "; noisy masks are read with --mask-encoding threshold" if encoding is MaskEncoding.FULL else ""
    raise InputError(f"{path}: the mask has values {_shown(pixels)}; expected {expected}{hint}")


def detect_encoding(paths: Sequence[Path]) -> MaskEncoding:
    """Recognise the encoding of a data set from up to 64 of its masks, spread evenly.

    Raises:
        InputError: Masks are of different encodings, or have values that are none; the files are named.
    """
    step = max(1, len(paths) // _SAMPLED)
    seen: dict[MaskEncoding, Path] = {}
    unclear: dict[Path, str] = {}
    for path in paths[::step]:
        pixels = read_grey(path)
        if not pixels.any():
            continue  # fits every encoding
        encoding = _encoding_of(pixels)
        if encoding is None:
            unclear[path] = _shown(pixels)
        else:
            seen.setdefault(encoding, path)
    for path, values in unclear.items():
        # Noise around 0 without any change looks like class labels, unless its neighbours show that it is noise.
        if MaskEncoding.THRESHOLD not in seen or _near_share(read_grey(path)) < _CLEAR_SHARE:
            raise InputError(
                f"{path}: the mask has values {values}; expected 0/1, 0/255 or noise around 0 and 255 "
                f"(class labels must be turned into change against no change first)"
            )
    if MaskEncoding.ONE in seen and len(seen) > 1:
        found = "; ".join(f"{path} is {encoding.value}" for encoding, path in seen.items())
        raise InputError(f"the masks are written in different ways: {found}. Write all of them as 0/255")
    if MaskEncoding.THRESHOLD in seen:
        return MaskEncoding.THRESHOLD
    return next(iter(seen), MaskEncoding.FULL)


def _encoding_of(pixels: UInt8) -> MaskEncoding | None:
    if pixels.max() <= 1:
        return MaskEncoding.ONE
    if np.isin(pixels, (0, 255)).all():
        return MaskEncoding.FULL
    # Labels of classes (0, 1, 2, ...) lie near 0 as well: noise must reach both ends.
    return MaskEncoding.THRESHOLD if _near_share(pixels) >= _CLEAR_SHARE and pixels.max() > 255 - _NEAR else None


def _near_share(pixels: UInt8) -> float:
    return float(((pixels < _NEAR) | (pixels > 255 - _NEAR)).mean())


def _shown(pixels: UInt8) -> str:
    values = np.unique(pixels)
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
