"""Losses that compare the land-cover maps of two dates, where class 0 is "no class".

They take logits (B, K + 1, H, W) of each date and a change mask (B, H, W): 0 unchanged, 1 changed, 255 ignored. They compute in
float32, and are 0 if all pixels are ignored.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.constants import IGNORE_INDEX


class PairLoss(nn.Module):
    """Base class of the losses of two maps.

    Args:
        ignore_index: Value of the mask for pixels that are left out.
    """

    def __init__(self, ignore_index: int = IGNORE_INDEX) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def _mean(self, values: Tensor, mask: Tensor) -> Tensor:
        """Return the mean of values (B, H, W) over the pixels that are not ignored."""
        valid = (mask != self.ignore_index).float()
        return (values * valid).sum() / valid.sum().clamp_min(1)


class SimilarityLoss(PairLoss):
    """Mean squared difference of the probabilities of unchanged pixels, over all pixels and all K + 1 channels.

    The similarity term of MambaSCD (Chen et al., ChangeMamba, TGRS 2024). Their code also adds the pixels that are ignored.
    """

    def forward(self, first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
        """Return the loss, see the module's docstring for the shapes."""
        difference = (first.float().softmax(1) - second.float().softmax(1)).square().mean(1)
        return self._mean(difference * (mask == 0), mask)


class ConsistencyLoss(PairLoss):
    """Mean over pixels: one minus the cosine of the probabilities if unchanged, the part of the cosine above a margin if changed.

    The semantic consistency loss of Bi-SRNet (Ding et al., TGRS 2022; margin 0) and SCanNet (TGRS 2024; margin 0.1). The
    probabilities are a softmax over the classes 1..K.

    Args:
        ignore_index: Value of the mask for pixels that are left out.
        margin: Cosine that changed pixels may have, in [-1, 1].
    """

    def __init__(self, ignore_index: int = IGNORE_INDEX, margin: float = 0.1) -> None:
        super().__init__(ignore_index)
        self.margin = margin

    def forward(self, first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
        """Return the loss, see the module's docstring for the shapes."""
        cosine = F.cosine_similarity(first[:, 1:].float().softmax(1), second[:, 1:].float().softmax(1))
        return self._mean(torch.where(mask == 0, 1 - cosine, F.relu(cosine - self.margin)), mask)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"ignore_index={self.ignore_index}, margin={self.margin:g}"
