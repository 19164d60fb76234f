"""`Rescaled`: a model that sees images at another scale than the one it is for."""

from __future__ import annotations

import torch
from torch import Tensor

from cdzoo.config import ModelCfg
from cdzoo.inference.model import PairModel
from cdzoo.models.scale import aligned, check_scale
from cdzoo.sizes import InputSizes
from cdzoo.tasks import Task
from cdzoo.weights.origin import Origin
from cdzoo.weights.pretrained import PretrainedCfg


class Rescaled:
    """A model that sees images at another scale.

    The probabilities have the size of the images, so it is used as the model itself.

    Args:
        model: The model, which takes images of any size.
        scale: Factor by which height and width of images are multiplied, in [0.1, 8], in addition to `config.input_scale`.

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
        """Windows of larger images start at multiples of this, which are multiples of that of the model for simple scales."""
        return aligned(self.model.window_multiple, self.scale)

    @property
    def device(self) -> torch.device:
        """Device of the images that it takes."""
        return self.model.device

    def predict_probabilities(self, *images: Tensor, scale: float = 1.0) -> Tensor:
        """Return the probabilities (B, ..., H, W) of one tensor (B, bands, H, W) per date, uint8 or float in [0, 1]."""
        return self.model.predict_probabilities(*images, scale=scale * self.scale)


def batch_at_scale(model: PairModel, scale: float, batch_size: int) -> int:
    """Return how many windows to predict at once: fewer than `batch_size` at a scale above 1, which takes more memory."""
    return max(1, int(batch_size / max(1.0, scale * model.config.input_scale) ** 2))


def rescaled(model: PairModel, scale: float) -> PairModel:
    """Return a model that sees images at another scale; the model itself for 1."""
    return model if scale == 1 else Rescaled(model, scale)
