"""Images at another scale: they are resampled before the network, and its probabilities after it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import torch.nn.functional as F
from torch import Tensor

from cdzoo.constants import MAX_SCALE, MIN_SCALE, MIN_SIZE
from cdzoo.errors import ConfigError
from cdzoo.sizes import InputSizes

_MAX_DENOMINATOR = 4  # of a scale; windows would start too far apart for others


def at_scale(predict: Callable[..., Tensor], images: Sequence[Tensor], scale: float) -> Tensor:
    """Predict resampled images, and resample the result back.

    Both are low-pass filtered where they are reduced.

    Args:
        predict: Function of one tensor (B, bands, h, w) per date that returns probabilities (B, ..., h, w).
        images: One tensor (B, bands, H, W) per date, in floating point.
        scale: Factor by which height and width are multiplied.

    Returns:
        Probabilities (B, ..., H, W).
    """
    if scale == 1:
        return predict(*images)
    height, width = images[0].shape[-2:]
    found = predict(*(resample(image, scale) for image in images))
    maps = found.reshape(len(found), -1, *found.shape[-2:])
    return F.interpolate(maps, (height, width), mode="bilinear", antialias=True).reshape(*found.shape[:-2], height, width)


def resample(image: Tensor, scale: float) -> Tensor:
    """Multiply height and width of a batch (B, bands, H, W) by a factor; no side becomes smaller than a model takes."""
    if scale == 1:
        return image
    size = [max(min(MIN_SIZE, side), round(side * scale)) for side in image.shape[-2:]]
    return F.interpolate(image, size, mode="bicubic", antialias=True)


def aligned(multiple: int, scale: float) -> int:
    """Return the least number of pixels whose multiples are multiples of `multiple` after scaling.

    It would be large for a scale that is not a simple fraction; `multiple` is returned then.
    """
    ratio = Fraction(scale).limit_denominator(_MAX_DENOMINATOR)
    whole = multiple * ratio.denominator
    return whole // math.gcd(whole, ratio.numerator) if math.isclose(ratio, scale) else multiple


def check_scale(scale: float, name: str, sizes: InputSizes) -> None:
    """Raise `ConfigError` if the scale is out of range, or a model does not take images of any size."""
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise ConfigError(f"scale must be from {MIN_SCALE:g} to {MAX_SCALE:g}, got {scale:g}")
    if scale != 1 and not sizes.free:
        raise ConfigError(f"{name} takes images of certain sizes only, so scale={scale:g} cannot be used; resample the images")
