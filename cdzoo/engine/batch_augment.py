"""Augmentation of whole batches on the device: photometric changes of each date, and CutMix of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class BatchAugment:
    """Photometric changes drawn for each image and date, and CutMix of samples.

    Attributes:
        jitter: Strength of brightness, contrast and (for RGB) saturation, each a factor in [1 - jitter, 1 + jitter].
        blur: Probability of a 3x3 mean filter for each image.
        cutmix: Probability that a rectangle of another sample of the batch is pasted into all dates and targets of a sample.
    """

    jitter: float = 0.0
    blur: float = 0.0
    cutmix: float = 0.0

    def __call__(self, images: Sequence[Tensor], target: Mapping[str, Tensor], generator: torch.Generator) -> None:
        """Augment a batch in place.

        Args:
            images: One tensor (B, bands, H, W) per date, float. An image that exceeds [0, 1] keeps its range.
            target: Tensors (B, ..., H, W) by name.
            generator: Generator on the CPU, so that the augmentation is the same on every device.
        """
        if self.cutmix:
            self._cutmix([*images, *target.values()], generator)
        for image in images:
            if self.jitter:
                self._jitter(image, generator)
            if self.blur:
                self._blur(image, generator)

    def _jitter(self, image: Tensor, generator: torch.Generator) -> None:
        draws = 1 + self.jitter * (2 * torch.rand(3, len(image), 1, 1, 1, generator=generator) - 1)
        brightness, contrast, saturation = draws.to(image.device)
        # Values beyond [0, 1] (dB, bright reflectance) are not cut off, as the network is given them in prediction, too.
        low, high = image.amin((1, 2, 3), keepdim=True).clamp(max=0), image.amax((1, 2, 3), keepdim=True).clamp(min=1)
        image.mul_(brightness)
        mean = image.mean((1, 2, 3), keepdim=True)
        image.sub_(mean).mul_(contrast).add_(mean)
        if image.shape[1] == 3:
            gray = (image * image.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
            image.sub_(gray).mul_(saturation).add_(gray)
        image.clamp_(low, high)

    def _blur(self, image: Tensor, generator: torch.Generator) -> None:
        chosen = (torch.rand(len(image), 1, 1, 1, generator=generator) < self.blur).flatten().nonzero().flatten()
        if len(chosen):
            chosen = chosen.to(image.device)
            image[chosen] = F.avg_pool2d(F.pad(image[chosen], (1, 1, 1, 1), mode="replicate"), 3, stride=1)

    def _cutmix(self, maps: Sequence[Tensor], generator: torch.Generator) -> None:
        height, width = maps[0].shape[-2:]
        count = len(maps[0])
        other = torch.randperm(count, generator=generator)
        chosen = torch.rand(count, generator=generator) < self.cutmix
        side = 0.2 + 0.4 * torch.rand(count, 2, generator=generator)
        corner = torch.rand(count, 2, generator=generator) * (1 - side)
        y, x = torch.arange(height)[:, None] / height, torch.arange(width) / width
        (top, left), (high, wide) = corner.T[..., None, None], side.T[..., None, None]
        inside = (y >= top) & (y < top + high) & (x >= left) & (x < left + wide)  # (B, H, W)
        rows = chosen.nonzero().flatten()
        inside, source = inside[rows].to(maps[0].device), other[rows].to(maps[0].device)
        rows = rows.to(maps[0].device)
        for tensor in maps:
            where = inside.view(len(rows), *(1,) * (tensor.ndim - 3), height, width)
            tensor[rows] = torch.where(where, tensor[source], tensor[rows])
