"""`check_samples`: what training and evaluation expect of samples, checked on the first ones before any work."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.sample import Sample, as_sample
from cdzoo.data.sampler import Samples
from cdzoo.errors import InputError
from cdzoo.sizes import ANY_SIZE, InputSizes

_BINARY: Mapping[str, int] = MappingProxyType({"mask": 2})
_LOOKED_AT = 8
_LISTED = 8
_BRIGHT, _DARK = 10.0, 0.005  # largest values of scaled images lie between them: reflectance, radar in dB, pictures


def check_samples(
    samples: Samples,
    bands: Sequence[int],
    split: str,
    targets: Mapping[str, int] = _BINARY,
    whole: bool = False,
    accepted: InputSizes = ANY_SIZE,
    window: int | None = None,
) -> None:
    """Check the first samples of a split, and the sizes of all of them if the data set knows them (`sizes`).

    What cannot be meant raises. What is odd, such as values far beyond [0, 1], warns.

    Args:
        samples: Samples of the split.
        bands: Number of bands of each date that the model expects.
        split: Name of the split, for messages.
        targets: Number of values of each target, beside 255 for pixels without a label.
        whole: Whether samples are predicted whole, as in evaluation, and not in crops.
        accepted: Sizes that the model takes.
        window: Side of the windows in which larger images are predicted; None if they are predicted whole.

    Raises:
        InputError: A sample has another number of dates or bands, lacks a target, has images or targets of different sizes,
            another shape or type, values that are not finite, other target values, or a size that the model does not accept; or
            masks have the values 0 and 255 only.
    """
    if not len(samples):
        raise InputError(f"the split '{split}' has no samples")
    if whole:
        _check_sizes(samples, split, accepted, window)
    looked = min(len(samples), _LOOKED_AT)
    largest: dict[torch.dtype, float] = {}
    values = set[int]()
    with torch.random.fork_rng(devices=[]):  # a data set may draw random numbers; the run must not depend on this check
        for index in range(looked):
            sample = as_sample(samples[index])
            label = f"sample {index} of the split '{split}'" + (f" ({sample.name})" if sample.name else "")
            _check_images(sample, bands, label)
            if whole and (problem := _size_problem(sample.images[0].shape[-2:], accepted, window)):
                raise InputError(f"{label}: its pixels, {tuple(sample.images[0].shape[-2:])}, {problem}")
            for image in sample.images:
                largest[image.dtype] = max(largest.get(image.dtype, -torch.inf), float(image.max()))
            for name, number in targets.items():
                found = _target_values(sample, label, name, number)
                values |= found if name == "mask" else set()
        # Data sets that know whether they have change were checked when they were opened.
        if IGNORE_INDEX in values and values <= {0, IGNORE_INDEX} and not hasattr(samples, "has_change"):
            _check_change(samples, split, range(looked, len(samples)))
    for dtype, value in largest.items():
        if advice := _odd_range(dtype, value):
            warnings.warn(f"the images of the split '{split}' have {dtype} values of at most {value:g}; {advice}", stacklevel=2)


def _odd_range(dtype: torch.dtype, largest: float) -> str:
    """Return what to do about images whose largest value is not plausible; an empty string if it is."""
    if dtype == torch.uint8:
        return "expected 0 to 255: were values in [0, 1] converted to integers?" if largest == 1 else ""
    if largest > _BRIGHT:
        return "expected [0, 1]: pass uint8, or divide by the largest value"
    return "expected [0, 1]: were they divided twice?" if 0 < largest < _DARK else ""


def _check_sizes(samples: Samples, split: str, accepted: InputSizes, window: int | None) -> None:
    """Check the sizes of all samples of a data set that knows them."""
    known: Any = samples
    wrong = [(label, size) for label, size in getattr(known, "sizes", ()) if _size_problem(size, accepted, window)]
    if wrong:
        shown = ", ".join(f"{label} {width}x{height}" for label, (height, width) in wrong[:_LISTED])
        more = f" and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        raise InputError(
            f"the split '{split}' has {len(wrong)} sample(s) that {_size_problem(wrong[0][1], accepted, window)}: {shown}{more}; "
            "leave them out with --exclude, or cut the images into tiles of another size"
        )


def _size_problem(size: Sequence[int], accepted: InputSizes, window: int | None) -> str:
    height, width = (side if window is None else min(side, window) for side in size)
    return accepted.problem(height, width)


def _check_images(sample: Sample, bands: Sequence[int], label: str) -> None:
    if len(sample.images) != len(bands):
        raise InputError(f"{label}: {len(sample.images)} image(s), but the model takes {len(bands)} dates")
    for date, (image, expected) in enumerate(zip(sample.images, bands, strict=True), 1):
        if not isinstance(image, Tensor) or image.ndim != 3:
            found = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
            raise InputError(f"{label}: date {date} must be a tensor (bands, H, W), got {found}")
        if image.shape[0] != expected:
            last = ", and the last axis has that many: permute(2, 0, 1)" if image.shape[2] == expected else ""
            raise InputError(
                f"{label}: date {date} has {image.shape[0]} band(s), the model expects {expected}{last}; build it with "
                f"in_chans={image.shape[0]} if that is right"
            )
        if image.dtype != torch.uint8 and not image.is_floating_point():
            raise InputError(f"{label}: date {date} has {image.dtype} values; expected uint8, or floating point in [0, 1]")
        if image.shape[-2:] != sample.images[0].shape[-2:]:
            sizes = [tuple(other.shape[-2:]) for other in sample.images]
            raise InputError(f"{label}: the dates differ in size, {sizes}; crop or resample them")
        if not torch.isfinite(image).all():
            raise InputError(f"{label}: date {date} has values that are NaN or infinite; fill them, with 255 in the mask")


def _target_values(sample: Sample, label: str, name: str, number: int) -> set[int]:
    """Return the values of a target of a sample after checking it."""
    if name not in sample.target:
        others = ", ".join(sample.target) or "none"
        raise InputError(f"{label}: there is no target '{name}', which the task of the model needs; its targets: {others}")
    values, size = sample.target[name], tuple(sample.images[0].shape[-2:])
    if not isinstance(values, Tensor) or tuple(values.shape) != size:
        shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise InputError(f"{label}: the {name} must be a tensor (H, W) of the size of the images, {size}; got {shape}")
    if values.dtype != torch.int64:
        raise InputError(f"{label}: the {name} has {values.dtype} values; expected integers: {name}.long()")
    found = set(torch.unique(values).tolist())
    if wrong := found - {*range(number), IGNORE_INDEX}:
        allowed = "0, 1" if number == 2 else f"0 to {number - 1}"
        raise InputError(
            f"{label}: the {name} has the value {min(wrong)}; expected {allowed}, and {IGNORE_INDEX} for pixels without a label"
        )
    return found


def _check_change(samples: Samples, split: str, rest: range) -> None:
    """Raise if the masks have no other values than 0 and 255, as those of the first samples."""
    for index in rest:
        mask = as_sample(samples[index]).target["mask"]
        if ((mask != 0) & (mask != IGNORE_INDEX)).any():
            return
    raise InputError(
        f"the masks of the split '{split}' have the values 0 and 255 and nowhere 1: 255 means that a pixel has no label and is "
        "left out; write 1 for change"
    )
