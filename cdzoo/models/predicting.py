"""`PredictionMixin`: probabilities of images as they are read, and what windows of larger images need to know of a model."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from cdzoo.components import Backbone
from cdzoo.config import ModelCfg
from cdzoo.errors import ConfigError, InputError
from cdzoo.models.preprocess import ImageLike, create_transform, normalize_images
from cdzoo.models.scale import aligned, at_scale, resample
from cdzoo.sizes import missing
from cdzoo.tasks import Task
from cdzoo.tasks.base import Output

_COMPUTED_IN = {torch.float32, torch.float16, torch.bfloat16, torch.float64}


class PredictionMixin(nn.Module):
    """Prediction from images that are not normalized; implements `cdzoo.inference.model.PairModel`."""

    config: ModelCfg
    task: Task
    backbone: Backbone
    bands: tuple[int, ...]
    pad_multiple: int

    @property
    def num_dates(self) -> int:
        """Number of dates."""
        return len(self.bands)

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.parameters()).device

    @property
    def window_multiple(self) -> int:
        """Windows of larger images start at multiples of this, so that the cells of all strides are those of the whole image."""
        return aligned(math.lcm(self.pad_multiple, max(self.backbone.out_strides)), self.config.input_scale)

    def preprocess(self, *images: ImageLike) -> tuple[Tensor, ...]:
        """Load, normalize and resample one image per date; return tensors (1, bands, h, w) on the device of the model.

        Height and width are those of the images times `config.input_scale`.

        Args:
            *images: Paths, PIL images, arrays (H, W, bands) or tensors (bands, H, W), uint8 or float in [0, 1].

        Raises:
            InputError: An image cannot be read or does not match the model.
        """
        if len(images) != self.num_dates:
            raise InputError(f"the model expects {self.num_dates} images, one per date, got {len(images)}")
        device = self.device
        loaded = (create_transform(self, date)(image)[None].to(device) for date, image in enumerate(images))
        return tuple(resample(image, self.config.input_scale) for image in loaded)

    def probabilities(self, output: Output) -> Tensor:
        """Return the probabilities (B, ..., H, W) in [0, 1] of an output of the model; (B, H, W) of change for `binary`."""
        return self.task.probabilities(output)

    def predict_probabilities(self, *images: Tensor, scale: float = 1.0) -> Tensor:
        """Return the probabilities (B, ..., H, W) of images that are not normalized, in float32.

        Args:
            *images: One tensor (B, bands, H, W) per date, uint8 or float in [0, 1], on the device of the model.
            scale: Factor by which they are enlarged for the network, in addition to `config.input_scale`.

        Raises:
            ConfigError: The parameters have several types, or one in which models cannot compute.
        """
        dtype = self._float_type()

        def predict(*normalized: Tensor) -> Tensor:
            return self.probabilities(self(*(image.to(dtype) for image in normalized))).float()

        return at_scale(predict, normalize_images(self.config, *images), scale * self.config.input_scale)

    def padding(self, height: int, width: int) -> tuple[int, int]:
        """Return the number of rows and columns that `forward` appends below and to the right of an image."""
        return missing(height, self.pad_multiple), missing(width, self.pad_multiple)

    def _float_type(self) -> torch.dtype:
        found: set[Any] = {parameter.dtype for parameter in self.parameters()}
        if len(found) > 1 or not found <= _COMPUTED_IN:
            names = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in found))
            raise ConfigError(f"{self.config.name} has parameters of dtype {names}; convert it with model.float()")
        return next(iter(found), torch.float32)
