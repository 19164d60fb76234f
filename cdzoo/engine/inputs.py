"""From stored pixels to what a model takes, and from logits to probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cdzoo.config import ModelCfg


def unit(image: Tensor) -> Tensor:
    """Turn uint8 into float32 in [0, 1]; floats are taken to be there already."""
    return image.float() / 255 if image.dtype == torch.uint8 else image.float()


def normalize(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Turn an image (..., bands, H, W), uint8 or float in [0, 1], into (x - mean) / std as float32.

    One value of `mean` or `std` stands for all bands.
    """
    shift, scale = (torch.tensor(values, device=image.device).view(-1, 1, 1) for values in (mean, std))
    return (unit(image) - shift) / scale


def normalize_pair(config: ModelCfg, image_a: Tensor, image_b: Tensor) -> tuple[Tensor, Tensor]:
    """Normalise both dates as the model's config says."""
    return normalize(image_a, config.mean, config.std), normalize(image_b, config.mean, config.std)


def change_probability(logits: Tensor) -> Tensor:
    """Turn logits (B, K, H, W) into the probability of change (B, H, W) in [0, 1].

    K = 1 is a sigmoid; K > 1 a softmax whose class 0 is "no change".
    """
    logits = logits.float()
    return logits[:, 0].sigmoid() if logits.shape[1] == 1 else 1 - logits.softmax(1)[:, 0]
