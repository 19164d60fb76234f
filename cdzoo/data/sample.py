"""`Sample`: images of all dates, targets and a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cdzoo.errors import InputError


class Sample(NamedTuple):
    """One sample of a data set, or a batch of samples made by the default collate function.

    Attributes:
        images: Image of each date, (bands, H, W): uint8, or float32 with the (min, max) of its value range mapped to [0, 1].
        target: Targets by name, (H, W) int64, as the task defines them. For binary change detection `target["mask"]`: 0
            unchanged, 1 changed, 255 ignored.
        name: Name of the sample; a tuple of names in a batch.
    """

    images: tuple[Tensor, ...]
    target: dict[str, Tensor]
    name: str

    def __repr__(self) -> str:
        """Return the name, and the shape and type of each tensor."""
        tensors = {**{f"images[{date}]": image for date, image in enumerate(self.images)}, **self.target}
        shown = (f"{label} {tuple(values.shape)} {str(values.dtype).removeprefix('torch.')}" for label, values in tensors.items())
        return f"Sample({self.name!r}: {', '.join(shown)})"


def as_sample(item: Any) -> Sample:
    """Convert an item of a data set to a `Sample`, and integer or Boolean targets to int64.

    Args:
        item: A `Sample`, or a mapping with `image_a`, `image_b`, `mask` and optionally `name`.

    Raises:
        InputError: The item is neither.
    """
    if isinstance(item, Sample):
        return _with_int64_targets(item)
    if isinstance(item, Mapping) and {"image_a", "image_b", "mask"} <= item.keys():
        return _with_int64_targets(Sample((item["image_a"], item["image_b"]), {"mask": item["mask"]}, str(item.get("name", ""))))
    found = ", ".join(map(str, item)) if isinstance(item, Mapping) else type(item).__name__
    raise InputError(f"a sample must be a cdzoo.data.Sample, or a dict with image_a, image_b and mask; got {found}")


def _with_int64_targets(sample: Sample) -> Sample:
    if not any(_is_integer(values) and values.dtype != torch.int64 for values in sample.target.values()):
        return sample
    target = {name: values.long() if _is_integer(values) else values for name, values in sample.target.items()}
    return sample._replace(target=target)


def _is_integer(values: Any) -> bool:
    return isinstance(values, Tensor) and not values.is_floating_point() and not values.is_complex()
