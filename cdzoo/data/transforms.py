"""Augmentation that treats both dates and the mask alike."""

from __future__ import annotations

import random
from typing import Any, Protocol

import torch
from torch import Tensor


class Samples(Protocol):
    """What can be trained on: anything with a length and items, a torch data set or a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> dict[str, Any]: ...


class PairAugment:
    """Random crop, flips and quarter turns, the same for both dates and the mask.

    Args:
        crop: Side of the square cut out, in pixels; smaller images are reflected up to it.
    """

    def __init__(self, crop: int) -> None:
        from torchvision.transforms import v2  # seconds to import, and only training needs it

        self.geometry = v2.Compose(
            [
                v2.RandomCrop(crop, pad_if_needed=True, padding_mode="reflect"),
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(),
            ]
        )

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Return a new sample; its name is kept."""
        from torchvision import tv_tensors

        images: list[Tensor] = self.geometry(
            [tv_tensors.Image(sample["image_a"]), tv_tensors.Image(sample["image_b"]), tv_tensors.Mask(sample["mask"])]
        )
        turns = random.randrange(4)
        image_a, image_b, mask = (torch.rot90(image.as_subclass(Tensor), turns, (-2, -1)) for image in images)
        return {**sample, "image_a": image_a, "image_b": image_b, "mask": mask}


class Augmented(torch.utils.data.Dataset[dict[str, Any]]):
    """A data set whose samples go through a transform."""

    def __init__(self, samples: Samples, transform: PairAugment) -> None:
        self.samples = samples
        self.transform = transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return the transformed sample."""
        return self.transform(self.samples[index])
