"""Test-time augmentation: mean of the predictions for flipped images and swapped dates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cdzoo.errors import ConfigError, InputError
from cdzoo.inference.model import PairModel
from cdzoo.names import suggest
from cdzoo.protocol import Augment
from cdzoo.tasks import Task

MODES = get_args(Augment)
_FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


def check_mode(mode: str, model: PairModel) -> None:
    """Check that a test-time augmentation can be used with a model.

    Args:
        mode: Name of the augmentation.
        model: The model.

    Raises:
        ConfigError: The name is unknown, or the dates cannot be swapped because their bands differ, or because the classes of the
            task have a direction, such as grades of damage at the second date.
    """
    if mode not in MODES:
        raise ConfigError(f"there is no test-time augmentation '{mode}'.{suggest(mode, MODES)} Known: {', '.join(MODES)}")
    if mode not in ("swap", "all"):
        return
    if len(set(model.bands)) > 1:
        raise ConfigError(f"dates of {' and '.join(map(str, model.bands))} bands cannot be swapped: use 'none' or 'flips'")
    if not model.task.swappable:
        raise ConfigError(f"the dates of the task '{model.task.name}' cannot be swapped: use 'none' or 'flips'")


def probability(model: PairModel, before: Tensor, after: Tensor, mode: str = "none") -> Tensor:
    """Return the probabilities (B, ..., H, W) of the task for images (B, bands, H, W) that are not normalized.

    Args:
        model: Model in evaluation mode.
        before: First date, uint8 or float in [0, 1].
        after: Second date.
        mode: `"none"`; `"flips"`: mean over four flips; `"swap"`: mean over both orders of the dates; `"all"`: mean over both.
    """
    return averaged(model.predict_probabilities, (before, after), mode, model.task)


def averaged(predict: Callable[..., Tensor], images: Sequence[Tensor], mode: str, task: Task) -> Tensor:
    """Return the mean of the probabilities (B, ..., H, W) of the views of a mode, see `probability`.

    Args:
        predict: Function of one tensor (B, bands, H, W) per date that returns probabilities.
        images: One tensor per date.
        mode: Name of the augmentation.
        task: Meaning of the probabilities.
    """
    flips = _FLIPS if mode in ("flips", "all") else _FLIPS[:1]
    orders = (images, images[::-1]) if mode in ("swap", "all") else (images,)
    total: Tensor | float = 0.0
    for axes in flips:
        for is_swapped, dates in enumerate(orders):
            found = predict(*(image.flip(axes) for image in dates))
            if is_swapped:
                found = task.swap_probabilities(found)
            total = total + found.flip(axes)
    assert isinstance(total, Tensor)
    return total / (len(flips) * len(orders))


def probability_array(model: PairModel, before: Tensor, after: Tensor, mode: str = "none") -> npt.NDArray[np.float32]:
    """Return `probability` as an array, computed without gradients.

    Raises:
        InputError: A probability is NaN.
    """
    with torch.inference_mode():
        found: npt.NDArray[np.float32] = probability(model, before, after, mode).cpu().numpy()
    if np.isnan(found).any():
        raise InputError(
            f"{model.config.name}: the model predicts NaN; check its weights, and convert a model in half precision to float32 "
            "or bfloat16"
        )
    return found
