"""`PairAugment`: geometric augmentation of all dates and targets of a sample."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cdzoo.data.sample import Sample


@dataclass(frozen=True)
class PairAugment:
    """Random crop, scale, flips, quarter turns and swap of the dates, equal for all images and targets of a sample.

    Written with slices of arrays: torchvision's transforms need 1.09 times the time of the whole loading (docs/training.md), and
    their random numbers are not a function of a seed per sample. Photometric augmentation runs on batches (`BatchAugment`).

    Attributes:
        crop: Side of the square crop in pixels; smaller images are reflected.
        flips: Random horizontal and vertical flips.
        rotate: Random rotation by a multiple of 90 degrees.
        scale: Minimum and maximum random scale.
        swap_dates: Probability of reversing the order of the dates.
    """

    crop: int
    flips: bool = True
    rotate: bool = True
    scale: tuple[float, float] = (1.0, 1.0)
    swap_dates: float = 0.0

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Return an augmented sample; `rng` is the only source of randomness."""
        names = list(sample.target)
        maps = self._cropped([*sample.images, *sample.target.values()], len(sample.images), rng)
        flipped = tuple(axis for axis in (-1, -2) if self.flips and rng.random() < 0.5)
        turns = rng.randrange(4) if self.rotate else 0
        maps = [_turned(one, flipped, turns) for one in maps]
        images, targets = maps[: len(sample.images)], maps[len(sample.images) :]
        if self.swap_dates and rng.random() < self.swap_dates and len({image.shape for image in images}) == 1:
            images.reverse()
        return Sample(tuple(images), dict(zip(names, targets, strict=True)), sample.name)

    def _cropped(self, maps: list[Tensor], num_images: int, rng: random.Random) -> list[Tensor]:
        factor = rng.uniform(*self.scale) if self.scale != (1.0, 1.0) else 1.0
        side = max(1, round(self.crop / factor))
        height, width = maps[-1].shape[-2:]
        if min(height, width) < side:
            rows, columns = (_reflected(length, max(length, side)) for length in (height, width))
            maps = [one[..., rows[:, None], columns] for one in maps]
            height, width = maps[-1].shape[-2:]
        top, left = rng.randint(0, height - side), rng.randint(0, width - side)
        maps = [one[..., top : top + side, left : left + side] for one in maps]
        if side == self.crop:
            return maps
        return [_resized(one, self.crop, smooth=index < num_images) for index, one in enumerate(maps)]


def _turned(one: Tensor, flipped: tuple[int, ...], turns: int) -> Tensor:
    # Flips and rotations are views in NumPy and copies in PyTorch.
    view = np.rot90(np.flip(one.numpy(), flipped), turns, (-2, -1))
    return torch.from_numpy(np.ascontiguousarray(view))


def _reflected(length: int, wanted: int) -> Tensor:
    """Return the indices 0, 1, .., n-1, n-2, .., 1, 0, 1, .. up to `wanted`; PyTorch's reflection is limited to one period."""
    if length == 1:
        return torch.zeros(wanted, dtype=torch.int64)
    period = 2 * (length - 1)
    position = torch.arange(wanted) % period
    return torch.minimum(position, period - position)


def _resized(one: Tensor, side: int, smooth: bool) -> Tensor:
    batch = one.reshape(1, -1, *one.shape[-2:]).float()
    if smooth:
        batch = F.interpolate(batch, size=(side, side), mode="bilinear", align_corners=False, antialias=side < one.shape[-1])
    else:
        batch = F.interpolate(batch, size=(side, side), mode="nearest-exact")
    if not one.dtype.is_floating_point:
        batch = batch.round().clamp_(0, 255)
    return batch.to(one.dtype).reshape(*one.shape[:-2], side, side)
