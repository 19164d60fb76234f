"""Conversion of images to the tensors that a model expects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from cdzoo.config import ModelCfg
from cdzoo.errors import InputError
from cdzoo.io.images import read_image

ImageLike = str | Path | npt.NDArray[Any] | Tensor | Any
"""Path, PIL image, array (H, W, bands) or (H, W), or tensor (bands, H, W): uint8, or float in [0, 1]."""


def to_unit(image: Tensor) -> Tensor:
    """Convert uint8 to float32 in [0, 1]; floating-point images keep their values."""
    return image.float() / 255 if image.dtype == torch.uint8 else image.float()


def normalize(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return (x - mean) / std in float32 for an image (..., bands, H, W), uint8 or float in [0, 1].

    A single value of `mean` or `std` applies to all bands.
    """
    shift, scale = (torch.tensor(values, device=image.device).view(-1, 1, 1) for values in (mean, std))
    return (to_unit(image) - shift) / scale


def normalize_images(config: ModelCfg, *images: Tensor) -> tuple[Tensor, ...]:
    """Normalize the images of all dates with the mean and standard deviation of a config."""
    return tuple(normalize(image, config.mean, config.std) for image in images)


def load_pixels(
    image: ImageLike, bands: int, label: str = "image", value_range: tuple[float, float] | None = None
) -> npt.NDArray[Any]:
    """Return an image as an array (H, W, bands) of uint8, or float32 in [0, 1].

    Args:
        image: See `ImageLike`.
        bands: Number of bands expected.
        label: Name of the image in messages, unless it is a path.
        value_range: Values of files that map to 0 and 1; required for files of more than 8 bits.

    Raises:
        InputError: The image cannot be read, or has another type, another number of bands or values out of range.
    """
    if isinstance(image, str | Path):
        return read_image(image, bands, value_range)
    if isinstance(image, Tensor):
        pixels = image.detach().cpu().numpy()
        pixels = np.moveaxis(pixels, 0, -1) if pixels.ndim == 3 else pixels
    else:
        pixels = np.array(image)  # a copy: PyTorch warns about arrays that are not writable
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    expected = f"uint8, or float in [0, 1], of shape (H, W, {bands})"
    if pixels.ndim != 3 or pixels.shape[2] != bands or pixels.dtype.kind not in "uf":
        raise InputError(f"{label}: expected {expected}, got {pixels.dtype} {pixels.shape}")
    if pixels.dtype.kind == "u" and pixels.dtype != np.uint8:
        raise InputError(f"{label}: expected {expected}, got {pixels.dtype}; scale the values to [0, 1] first")
    if pixels.dtype == np.uint8:
        return pixels
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
        low, high = np.nanmin(pixels), np.nanmax(pixels)
        raise InputError(f"{label}: expected {expected}, got values from {low:g} to {high:g}; scale them to [0, 1] first")
    return pixels.astype(np.float32)


def create_transform(config: Any, date: int = 0) -> Callable[[ImageLike], Tensor]:
    """Return a function that loads and normalizes one image for a model.

    Args:
        config: A model, or its `ModelCfg`.
        date: Index of the date, for models whose dates have different numbers of bands.

    Returns:
        Function from a path, PIL image, array or tensor (see `ImageLike`) to a float32 tensor (bands, H, W) at full size: no
        resizing, no cropping.
    """
    cfg: ModelCfg = getattr(config, "config", config)

    def transform(image: ImageLike) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(load_pixels(image, cfg.bands[date]))).permute(2, 0, 1)
        return normalize(pixels, cfg.mean, cfg.std)

    return transform


def pad_edges(image: Tensor, down: int, right: int) -> Tensor:
    """Append rows and columns to a batch (B, bands, H, W): reflections of the lower and right edges."""
    if not down and not right:
        return image
    # Reflection needs more pixels than it adds, which coarse strides exceed on small images.
    mode = "reflect" if down < image.shape[-2] and right < image.shape[-1] else "replicate"
    return F.pad(image, (0, right, 0, down), mode=mode)
