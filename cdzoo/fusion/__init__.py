"""Fusions: combine the features of the dates, with one module per level or one for the whole pyramid."""

from cdzoo.fusion.bfa import BFA
from cdzoo.fusion.bit import BIT
from cdzoo.fusion.cbam import CBAM, CBAMFusion
from cdzoo.fusion.changeformer import ChangeFormerFusion
from cdzoo.fusion.concat_conv import ConcatConv
from cdzoo.fusion.cross_attention import CrossAttention
from cdzoo.fusion.early import Early
from cdzoo.fusion.mf_mamba import MFMamba
from cdzoo.fusion.plain import AbsDiff, Concat, Diff, Sum
from cdzoo.fusion.skips import Skips
from cdzoo.fusion.spatio_temporal import SpatioTemporal

__all__ = [
    "BFA",
    "BIT",
    "CBAM",
    "AbsDiff",
    "CBAMFusion",
    "ChangeFormerFusion",
    "Concat",
    "ConcatConv",
    "CrossAttention",
    "Diff",
    "Early",
    "MFMamba",
    "Skips",
    "SpatioTemporal",
    "Sum",
]
