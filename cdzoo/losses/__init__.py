"""Losses: alone, as a sum (`"bce+0.5*dice"`), and as a sum over several outputs of a model.

Losses of pixels take logits (B, K, H, W) and a target (B, H, W) int64 in {0..K-1} (for K = 1 in {0, 1}), compute in float32, and
are 0 if all pixels are ignored. Ignored pixels are masked by a product: an index would copy the maps and wait for the device.
"""

from cdzoo.losses.contrastive import ContrastiveLoss
from cdzoo.losses.lovasz import LovaszLoss
from cdzoo.losses.outputs import PAIR_LOSSES, OutputsLoss, create_outputs_loss
from cdzoo.losses.pairs import ConsistencyLoss, PairLoss, SimilarityLoss
from cdzoo.losses.pixel import BalancedBCELoss, BCELoss, DiceLoss, FocalLoss, PixelLoss, change_probability
from cdzoo.losses.sums import LOSSES, WeightedSum, create_loss

__all__ = [
    "LOSSES",
    "PAIR_LOSSES",
    "BCELoss",
    "BalancedBCELoss",
    "ConsistencyLoss",
    "ContrastiveLoss",
    "DiceLoss",
    "FocalLoss",
    "LovaszLoss",
    "OutputsLoss",
    "PairLoss",
    "PixelLoss",
    "SimilarityLoss",
    "WeightedSum",
    "change_probability",
    "create_loss",
    "create_outputs_loss",
]
