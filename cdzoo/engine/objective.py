"""`Objective`: a model and its loss, with deep supervision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.constants import IGNORE_INDEX
from cdzoo.engine.config import TrainCfg
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.preprocess import normalize


class Objective(nn.Module):
    """A model and its loss as one module, which is compiled and distributed.

    Args:
        model: Model.
        cfg: Settings of the loss.
    """

    def __init__(self, model: ChangeDetector, cfg: TrainCfg) -> None:
        super().__init__()
        self.model = model
        self.loss = model.task.create_loss(cfg.loss, cfg.change_weight)
        # Lists of floats instead of the config: torch.compile specializes on every attribute that it reads.
        self.mean, self.std = list(model.config.mean), list(model.config.std)

    def forward(self, images: Sequence[Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """Return the loss of a batch.

        Args:
            images: One tensor (B, bands, H, W) per date, in [0, 1].
            target: Tensors (B, H, W) int64 by name.
        """
        output, auxiliary = self.model.forward_supervised(*(normalize(image, self.mean, self.std) for image in images))
        loss = self.loss(output, target)
        if auxiliary:
            down, right = self.model.padding(*images[0].shape[-2:])
            padded = {key: F.pad(value, (0, right, 0, down), value=IGNORE_INDEX) for key, value in target.items()}
            for weight, coarse in auxiliary:
                size = coarse.shape[-2:] if isinstance(coarse, Tensor) else next(iter(coarse.values())).shape[-2:]
                loss = loss + weight * self.loss(coarse, _resize(padded, size))
        return loss


def _resize(target: Mapping[str, Tensor], size: Sequence[int]) -> dict[str, Tensor]:
    """Resize targets (B, H, W) with nearest neighbor."""
    return {key: F.interpolate(value[:, None].float(), size=tuple(size))[:, 0].long() for key, value in target.items()}
