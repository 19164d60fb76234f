"""`PairModel`: what prediction needs of a model, so that PyTorch models and exported files predict in the same way."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from cdzoo.config import ModelCfg
from cdzoo.sizes import InputSizes
from cdzoo.tasks import Task
from cdzoo.weights.origin import Origin
from cdzoo.weights.pretrained import PretrainedCfg


class PairModel(Protocol):
    """Model of two dates: a `ChangeDetector`, or an `OnnxModel`.

    Attributes:
        config: Description of the model.
        task: Meaning of its probabilities.
        origin: Where its weights come from; None for newly initialized weights.
        pretrained_cfg: Description of its weights; None without published weights.
    """

    config: ModelCfg
    task: Task
    origin: Origin | None
    pretrained_cfg: PretrainedCfg | None

    @property
    def bands(self) -> tuple[int, ...]:
        """Number of bands of each date."""
        ...

    @property
    def num_dates(self) -> int:
        """Number of dates."""
        ...

    @property
    def input_sizes(self) -> InputSizes:
        """Sizes of images that it takes."""
        ...

    @property
    def window_multiple(self) -> int:
        """Windows of larger images start at multiples of this."""
        ...

    @property
    def device(self) -> torch.device:
        """Device of the images that it takes."""
        ...

    def predict_probabilities(self, *images: Tensor, scale: float = 1.0) -> Tensor:
        """Return the probabilities (B, ..., H, W) of one tensor (B, bands, H, W) per date, uint8 or float in [0, 1].

        Args:
            *images: The images.
            scale: Factor by which they are enlarged for the network, in addition to `config.input_scale`.
        """
        ...
