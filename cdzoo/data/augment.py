"""Geometric augmentation that treats both dates and the mask alike."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

KEYS = ("image_a", "image_b", "mask")


@dataclass(frozen=True)
class PairAugment:
    """Random crop, scale, flips, quarter turns and exchange of the dates.

    These are slices of the arrays, several times faster than general transforms of images; photometric changes are made to
    whole batches on the device instead (`BatchAugment`).

    Attributes:
        crop: Side of the square that comes out, in pixels; smaller images are reflected up to it.
        flips: Mirror left to right and top to bottom, each half of the time.
        rotate: Turn by a random multiple of 90 degrees.
        scale: Smallest and largest magnification; drawn evenly between them.
        swap_dates: Probability of exchanging the dates: change is change in both directions.
    """

    crop: int
    flips: bool = True
    rotate: bool = True
    scale: tuple[float, float] = (1.0, 1.0)
    swap_dates: float = 0.0

    def __call__(self, sample: dict[str, Any], rng: random.Random) -> dict[str, Any]:
        """Return a new sample drawn by `rng`; its name is kept."""
        maps = self._cropped([sample[key] for key in KEYS], rng)
        flipped = tuple(axis for axis in (-1, -2) if self.flips and rng.random() < 0.5)
        turns = rng.randrange(4) if self.rotate else 0
        maps = [_turned(one, flipped, turns) for one in maps]
        if self.swap_dates and rng.random() < self.swap_dates and maps[0].shape == maps[1].shape:
            maps[0], maps[1] = maps[1], maps[0]
        return {**sample, **dict(zip(KEYS, maps, strict=True))}

    def _cropped(self, maps: list[Tensor], rng: random.Random) -> list[Tensor]:
        factor = rng.uniform(*self.scale) if self.scale != (1.0, 1.0) else 1.0
        side = max(1, round(self.crop / factor))
        height, width = maps[-1].shape[-2:]
        if min(height, width) < side:
            rows, columns = (_reflected(length, max(length, side)) for length in (height, width))
            maps = [one[..., rows[:, None], columns] for one in maps]
            height, width = maps[-1].shape[-2:]
        top, left = rng.randint(0, height - side), rng.randint(0, width - side)
        maps = [one[..., top : top + side, left : left + side] for one in maps]
        return maps if side == self.crop else [_resized(one, self.crop, smooth=one is not maps[-1]) for one in maps]


def _turned(one: Tensor, flipped: tuple[int, ...], turns: int) -> Tensor:
    # In NumPy flips and turns are views, so that there is one copy at the end; in torch each of them copies.
    view = np.rot90(np.flip(one.numpy(), flipped), turns, (-2, -1))
    return torch.from_numpy(np.ascontiguousarray(view))


def _reflected(length: int, wanted: int) -> Tensor:
    """Indices 0, 1, .., n-1, n-2, .., 1, 0, 1, .. up to `wanted`; any length, unlike torch's reflection."""
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
