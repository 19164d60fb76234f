"""`BatchAugment`: photometric augmentation of each date, and CutMix of pairs, for whole batches on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_GRAY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class BatchAugment:
    """Photometric changes drawn for each image and date, and CutMix of samples.

    torchvision's transforms support neither more than three bands nor CutMix of targets.

    Attributes:
        jitter: Strength of brightness, contrast and (for RGB) saturation, each a factor in [1 - jitter, 1 + jitter].
        blur: Probability that an image is blurred with a 3x3 mean.
        cutmix: Probability that a rectangle of a sample is replaced by that of another sample of the batch, in all dates and
            targets.
    """

    jitter: float = 0.0
    blur: float = 0.0
    cutmix: float = 0.0

    def __call__(
        self, images: Sequence[Tensor], target: dict[str, Tensor], generator: torch.Generator
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return the augmented batch.

        Args:
            images: One tensor (B, bands, H, W) in [0, 1] per date.
            target: Targets (B, H, W) by name.
            generator: Generator on the CPU, so that a batch is augmented equally on every device.
        """
        images = list(images)
        if self.cutmix:
            inside, other = self._rectangles(images[0], generator)
            images = [torch.where(inside[:, None], image[other], image) for image in images]
            target = {name: torch.where(inside, value[other], value) for name, value in target.items()}
        return [self._photometric(image, generator) for image in images], target

    def _photometric(self, image: Tensor, generator: torch.Generator) -> Tensor:
        if self.jitter:
            draws = 1 + self.jitter * (2 * torch.rand(3, len(image), 1, 1, 1, generator=generator) - 1)
            brightness, contrast, saturation = draws.to(image.device)
            image = image * brightness
            mean = image.mean((1, 2, 3), keepdim=True)
            image = mean + contrast * (image - mean)
            if image.shape[1] == 3:
                gray = (image * image.new_tensor(_GRAY).view(1, 3, 1, 1)).sum(1, keepdim=True)
                image = gray + saturation * (image - gray)
            image = image.clamp(0, 1)
        if self.blur:
            chosen = (torch.rand(len(image), 1, 1, 1, generator=generator) < self.blur).to(image.device)
            blurred = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
            image = torch.where(chosen, blurred, image)
        return image

    def _rectangles(self, image: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return where each sample is replaced (B, H, W), and the index of the sample that replaces it (B,)."""
        count, (height, width) = len(image), image.shape[-2:]
        other = torch.randperm(count, generator=generator)
        chosen = torch.rand(count, generator=generator) < self.cutmix
        side = 0.2 + 0.4 * torch.rand(count, 2, generator=generator)
        corner = torch.rand(count, 2, generator=generator) * (1 - side)
        y, x = torch.arange(height)[:, None] / height, torch.arange(width) / width
        (top, left), (high, wide) = corner.T[..., None, None], side.T[..., None, None]
        inside = (y >= top) & (y < top + high) & (x >= left) & (x < left + wide) & chosen[:, None, None]
        return inside.to(image.device), other.to(image.device)
