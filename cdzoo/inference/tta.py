"""Test-time augmentation: the mean over mirrored images and exchanged dates."""

from __future__ import annotations

import torch
from torch import Tensor

from cdzoo.errors import ConfigError
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.preprocess import normalize_images
from cdzoo.names import suggest

MODES = ("none", "flips", "swap", "all")
_MIRRORS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


def check_mode(mode: str, bands: tuple[int, ...]) -> None:
    """Raise unless `mode` can be used.

    Raises:
        ConfigError: There is no such mode, or the dates cannot be exchanged because their bands differ.
    """
    if mode not in MODES:
        raise ConfigError(f"there is no test-time augmentation '{mode}'.{suggest(mode, MODES)} Known: {', '.join(MODES)}")
    if mode in ("swap", "all") and bands[0] != bands[1]:
        raise ConfigError(f"dates of {bands[0]} and {bands[1]} bands cannot be exchanged: use 'none' or 'flips'")


def probability(model: ChangeDetector, first: Tensor, second: Tensor, mode: str = "none") -> Tensor:
    """Return the probability of change (B, H, W) of stored pixels (B, bands, H, W).

    Args:
        model: In evaluation mode.
        first: First date, uint8 or float in [0, 1].
        second: Second date.
        mode: `"none"`; `"flips"`: mean over four mirrorings; `"swap"`: over both orders of the dates; `"all"`: over all eight.
    """
    a, b = normalize_images(model.config, first, second)
    mirrors = _MIRRORS if mode in ("flips", "all") else _MIRRORS[:1]
    orders = ((a, b), (b, a)) if mode in ("swap", "all") else ((a, b),)
    total = torch.zeros(a.shape[0], *a.shape[-2:], device=a.device)
    for axes in mirrors:
        for one, other in orders:
            if axes:
                total += model.probabilities(model(one.flip(axes), other.flip(axes))).flip(axes)
            else:
                total += model.probabilities(model(one, other))
    return total / (len(mirrors) * len(orders))
