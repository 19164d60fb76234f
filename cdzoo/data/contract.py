"""`check_samples`: what training and evaluation expect of samples, checked on the first ones before any work."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cdzoo.constants import IGNORE_INDEX, MIN_SIZE
from cdzoo.data.sample import Sample, as_sample
from cdzoo.data.sampler import Samples
from cdzoo.errors import InputError

_LOOKED_AT = 8
_LISTED = 8
_BRIGHT = 10.0  # images in [0, 1] with values above this were not scaled; reflectance and radar in dB stay below


def check_samples(samples: Samples, bands: Sequence[int], split: str, whole: bool = False, fixed_size: int | None = None) -> None:
    """Check the first samples of a split, and the sizes of all of them if the data set knows them (`sizes`).

    What cannot be meant raises. What is odd, such as values far beyond [0, 1], or masks of 0 and 255 (255 means that a pixel has
    no label), warns.

    Args:
        samples: Samples of the split.
        bands: Number of bands of each date that the model expects.
        split: Name of the split, for messages.
        whole: Whether samples are predicted whole, as in evaluation, and not in crops.
        fixed_size: Height and width that the model is built for, if it accepts no others.

    Raises:
        InputError: A sample has another number of dates or bands, images or masks of different sizes, another shape or type,
            values that are not finite, mask values other than 0, 1 and 255, or a size that the model does not accept.
    """
    if not len(samples):
        raise InputError(f"the split '{split}' has no samples")
    if whole:
        _check_sizes(samples, split, fixed_size)
    looked = min(len(samples), _LOOKED_AT)
    brightest, values = 0.0, set[int]()
    with torch.random.fork_rng(devices=[]):  # a data set may draw random numbers; the run itself must not depend on this check
        for index in range(looked):
            sample = as_sample(samples[index])
            label = f"sample {index} of the split '{split}'" + (f" ({sample.name})" if sample.name else "")
            _check_images(sample, bands, label)
            if whole:
                _check_size(tuple(sample.images[0].shape[-2:]), label, fixed_size)
            floats = [float(image.max()) for image in sample.images if image.is_floating_point()]
            brightest = max([brightest, *floats])
            if "mask" in sample.target:
                values |= _mask_values(sample, label)
        if values and 1 not in values and IGNORE_INDEX in values:
            _check_change(samples, split, range(looked, len(samples)))
    if brightest > _BRIGHT:
        warnings.warn(
            f"the images of the split '{split}' have floating-point values of up to {brightest:g}, but [0, 1] is expected; "
            "pass uint8, or divide by the largest value",
            stacklevel=2,
        )


def _check_sizes(samples: Samples, split: str, fixed_size: int | None) -> None:
    """Check the sizes of all samples of a data set that knows them."""
    known: Any = samples
    wrong = [(label, size) for label, size in getattr(known, "sizes", ()) if _size_problem(size, fixed_size)]
    if wrong:
        shown = ", ".join(f"{label} {width}x{height}" for label, (height, width) in wrong[:_LISTED])
        more = f" and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        raise InputError(
            f"the split '{split}' has {len(wrong)} sample(s) that {_size_problem(wrong[0][1], fixed_size)}: {shown}{more}; "
            "leave them out with --exclude, or cut the images into tiles of another size"
        )


def _check_size(size: tuple[int, ...], label: str, fixed_size: int | None) -> None:
    if problem := _size_problem(size, fixed_size):
        raise InputError(f"{label}: its {size[1]}x{size[0]} pixels {problem}")


def _size_problem(size: tuple[int, ...], fixed_size: int | None) -> str:
    if min(size) < MIN_SIZE:
        return f"are smaller than {MIN_SIZE}x{MIN_SIZE} pixels, the least that a model takes"
    if fixed_size is not None and size != (fixed_size, fixed_size):
        return f"are not {fixed_size}x{fixed_size} pixels, the only size that the model takes"
    return ""


def _check_images(sample: Sample, bands: Sequence[int], label: str) -> None:
    shapes = [tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__ for image in sample.images]
    if len(shapes) != len(bands):
        raise InputError(f"{label}: {len(shapes)} image(s), but the model takes {len(bands)} dates")
    for date, (image, expected) in enumerate(zip(sample.images, bands, strict=True), 1):
        if not isinstance(image, Tensor) or image.ndim != 3:
            raise InputError(f"{label}: date {date} must be a tensor (bands, H, W), got {shapes[date - 1]}")
        if image.shape[0] != expected:
            last = ", and the last axis has that many: permute(2, 0, 1)" if image.shape[2] == expected else ""
            raise InputError(
                f"{label}: date {date} has {image.shape[0]} band(s), the model expects {expected}{last}; build it with "
                f"in_chans={image.shape[0]} if that is right"
            )
        if image.dtype != torch.uint8 and not image.is_floating_point():
            raise InputError(f"{label}: date {date} has {image.dtype} values; expected uint8, or floating point in [0, 1]")
        if image.shape[-2:] != sample.images[0].shape[-2:]:
            raise InputError(f"{label}: the dates differ in size: {shapes}; crop or resample them")
        if not torch.isfinite(image).all():
            raise InputError(
                f"{label}: date {date} has values that are NaN or infinite; fill them, and set the mask to 255 there"
            )


def _mask_values(sample: Sample, label: str) -> set[int]:
    """Return the values of the mask of a sample after checking it."""
    mask, size = sample.target["mask"], tuple(sample.images[0].shape[-2:])
    if not isinstance(mask, Tensor) or tuple(mask.shape) != size:
        found = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        raise InputError(f"{label}: the mask must be a tensor (H, W) of the size of the images, {size}; got {found}")
    if mask.is_floating_point() or mask.is_complex():
        raise InputError(f"{label}: the mask has {mask.dtype} values; expected integers: mask.long()")
    values = set(torch.unique(mask).tolist())
    if min(values) < 0:
        raise InputError(f"{label}: the mask has the value {min(values)}; expected 0, 1, and 255 for pixels without a label")
    return values


def _check_change(samples: Samples, split: str, rest: range) -> None:
    """Warn, or raise if nothing can be learned or scored, about masks whose first ones have values of 255 and none of 1."""
    if not any((as_sample(samples[index]).target["mask"] == 1).any() for index in rest):
        raise InputError(
            f"the masks of the split '{split}' have the values 0 and 255 and nowhere 1: 255 means that a pixel has no label and "
            "is left out; write 1 for change"
        )
