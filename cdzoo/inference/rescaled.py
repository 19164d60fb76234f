"""Prediction at another scale: images are resampled before the model, and its probabilities after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cdzoo.config import ModelCfg
from cdzoo.constants import MAX_SCALE, MIN_SCALE
from cdzoo.errors import ConfigError
from cdzoo.inference.model import PairModel
from cdzoo.models.preprocess import to_unit
from cdzoo.sizes import InputSizes
from cdzoo.tasks import Task
from cdzoo.weights.origin import Origin
from cdzoo.weights.pretrained import PretrainedCfg


class Rescaled:
    """A model that sees images at another scale.

    The probabilities have the size of the images, so it is used as the model itself.

    Args:
        model: The model, which takes images of any size.
        scale: Factor by which height and width of images are multiplied, in [0.1, 8].

    Raises:
        ConfigError: The scale is out of range, or the model takes images of certain sizes only.
    """

    def __init__(self, model: PairModel, scale: float) -> None:
        check_scale(scale, model.config.name, model.input_sizes)
        self.model, self.scale = model, scale
        self.config: ModelCfg = model.config
        self.task: Task = model.task
        self.origin: Origin | None = model.origin
        self.pretrained_cfg: PretrainedCfg | None = model.pretrained_cfg

    @property
    def bands(self) -> tuple[int, ...]:
        """Number of bands of each date."""
        return self.model.bands

    @property
    def num_dates(self) -> int:
        """Number of dates."""
        return self.model.num_dates

    @property
    def input_sizes(self) -> InputSizes:
        """Sizes of images that it takes."""
        return self.model.input_sizes

    @property
    def window_multiple(self) -> int:
        """Windows of larger images start at multiples of this."""
        return self.model.window_multiple

    @property
    def device(self) -> torch.device:
        """Device of the images that it takes."""
        return self.model.device

    def predict_probabilities(self, *images: Tensor) -> Tensor:
        """Return the probabilities (B, ..., H, W) of one tensor (B, bands, H, W) per date, uint8 or float in [0, 1]."""
        return at_scale(self.model.predict_probabilities, [to_unit(image) for image in images], self.scale)


def rescaled(model: PairModel, scale: float) -> PairModel:
    """Return a model that sees images at another scale; the model itself for 1."""
    return model if scale == 1 else Rescaled(model, scale)


def check_scale(scale: float, name: str, sizes: InputSizes) -> None:
    """Raise `ConfigError` if the scale is out of range, or a model does not take images of any size."""
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise ConfigError(f"scale must be from {MIN_SCALE:g} to {MAX_SCALE:g}, got {scale:g}")
    if scale != 1 and not sizes.free:
        raise ConfigError(f"{name} takes images of certain sizes only, so scale={scale:g} cannot be used; resample the images")


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
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    found = predict(*(F.interpolate(image, size, mode="bicubic", antialias=True) for image in images))
    maps = found.reshape(len(found), -1, *found.shape[-2:])
    return F.interpolate(maps, (height, width), mode="bilinear", antialias=True).reshape(*found.shape[:-2], height, width)
