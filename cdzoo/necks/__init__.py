"""Necks: refine the feature pyramid of each date before fusion."""

from cdzoo.necks.csam import CSAM
from cdzoo.necks.linear import Linear
from cdzoo.necks.upsample import Upsample

__all__ = ["CSAM", "Linear", "Upsample"]
