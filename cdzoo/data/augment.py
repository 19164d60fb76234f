"""Geometric augmentation: the same crop, scale, flips and rotation for all images and targets of a sample."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from cdzoo.data.sample import Sample

Transform = Callable[[Tensor, InterpolationMode], Tensor]


@dataclass(frozen=True)
class PairAugment:
    """Random crop, scale, flips, rotation by multiples of 90 degrees, and exchange of the dates, for any number of dates.

    Uses the functions of torchvision.transforms.v2 with random numbers of its own, because the transform classes use the global
    generator, which takes longer to seed for each sample (`benchmarks/loader.py`). Photometric augmentation is applied to batches
    on the device instead.

    Attributes:
        crop: Side of the square output in pixels; smaller images are extended by reflection.
        flips: Flip horizontally and vertically, each with probability 0.5.
        rotate: Rotate by a random multiple of 90 degrees.
        scale: Smallest and largest magnification, drawn uniformly.
        swap_dates: Probability of reversing the order of the dates, in [0, 1]. Skipped if shapes differ.
        swap_targets: Returns the targets of a sample whose dates are reversed; targets are kept by default.
    """

    crop: int
    flips: bool = True
    rotate: bool = True
    scale: tuple[float, float] = (1.0, 1.0)
    swap_dates: float = 0.0
    swap_targets: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Return an augmented sample: images (bands, crop, crop), targets (..., crop, crop), the same name.

        Images are resampled bilinearly, targets by nearest neighbor.

        Args:
            sample: Sample whose images and targets have equal heights and widths.
            rng: Source of all random numbers.
        """
        height, width = sample.images[0].shape[-2:]
        transform = self._draw(height, width, rng)
        images = tuple(transform(image, InterpolationMode.BILINEAR) for image in sample.images)
        target = {name: transform(values, InterpolationMode.NEAREST_EXACT) for name, values in sample.target.items()}
        if rng.random() < self.swap_dates and len({image.shape for image in images}) == 1:
            images, target = images[::-1], self.swap_targets(target)
        return Sample(images, target, sample.name)

    def _draw(self, height: int, width: int, rng: random.Random) -> Transform:
        """Draw a transform of tensors (..., height, width)."""
        side = max(1, round(self.crop / rng.uniform(*self.scale)))
        padded_height, padded_width = max(height, side), max(width, side)
        top, left = rng.randint(0, padded_height - side), rng.randint(0, padded_width - side)
        flips = [flip for flip in (F.horizontal_flip_image, F.vertical_flip_image) if self.flips and rng.random() < 0.5]
        angle = 90 * rng.randrange(4) if self.rotate else 0

        def transform(image: Tensor, interpolation: InterpolationMode) -> Tensor:
            if (padded_height, padded_width) != (height, width):
                image = image[..., _reflected(height, padded_height)[:, None], _reflected(width, padded_width)]
            size = [self.crop, self.crop]
            image = F.resized_crop_image(image[None], top, left, side, side, size, interpolation)[0]  # masks have no band axis
            for flip in flips:
                image = flip(image)
            return F.rotate_image(image, angle) if angle else image

        return transform


def _reflected(length: int, wanted: int) -> Tensor:
    """Return `wanted` indices 0, 1, .., n-1, n-2, .., 1, 0, 1, .. for any length n; torch pads by less than n only."""
    return torch.from_numpy(np.pad(np.arange(length), (0, wanted - length), mode="reflect"))
