"""Augmentation of whole batches on the device: light and colour of each date, and pasted changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class BatchAugment:
    """Photometric changes drawn for each image and date, and CutMix of pairs.

    Attributes:
        jitter: Strength of brightness, contrast and (for RGB) saturation, each a factor in [1 - jitter, 1 + jitter].
        blur: Probability that an image is blurred a little.
        cutmix: Probability that a pair gets a rectangle of another pair of the batch: both dates and the mask.
    """

    jitter: float = 0.0
    blur: float = 0.0
    cutmix: float = 0.0

    def __call__(
        self, image_a: Tensor, image_b: Tensor, mask: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the augmented batch.

        Args:
            image_a: (B, bands, H, W) float in [0, 1].
            image_b: The second date, the same size.
            mask: (B, H, W).
            generator: On the CPU, so that a batch is augmented alike on every device.
        """
        if self.cutmix:
            image_a, image_b, mask = self._mixed(image_a, image_b, mask, generator)
        return self._lit(image_a, generator), self._lit(image_b, generator), mask

    def _lit(self, image: Tensor, generator: torch.Generator) -> Tensor:
        if self.jitter:
            draws = 1 + self.jitter * (2 * torch.rand(3, len(image), 1, 1, 1, generator=generator) - 1)
            brightness, contrast, saturation = draws.to(image.device)
            image = image * brightness
            middle = image.mean((1, 2, 3), keepdim=True)
            image = middle + contrast * (image - middle)
            if image.shape[1] == 3:
                grey = (image * image.new_tensor(_GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)
                image = grey + saturation * (image - grey)
            image = image.clamp(0, 1)
        if self.blur:
            chosen = (torch.rand(len(image), 1, 1, 1, generator=generator) < self.blur).to(image.device)
            soft = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
            image = torch.where(chosen, soft, image)
        return image

    def _mixed(self, image_a: Tensor, image_b: Tensor, mask: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        height, width = mask.shape[-2:]
        count = len(mask)
        other = torch.randperm(count, generator=generator)
        chosen = torch.rand(count, generator=generator) < self.cutmix
        side = 0.2 + 0.4 * torch.rand(count, 2, generator=generator)
        corner = torch.rand(count, 2, generator=generator) * (1 - side)
        y, x = torch.arange(height)[:, None] / height, torch.arange(width) / width
        (top, left), (high, wide) = corner.T[..., None, None], side.T[..., None, None]
        inside = (y >= top) & (y < top + high) & (x >= left) & (x < left + wide) & chosen[:, None, None]
        inside, other = inside.to(mask.device), other.to(mask.device)
        image_a, image_b = (torch.where(inside[:, None], one[other], one) for one in (image_a, image_b))
        return image_a, image_b, torch.where(inside, mask[other], mask)
