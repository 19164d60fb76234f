"""Layers used by two or more components."""

from cdzoo.layers.cbam import CBAM, ChannelAttention, SpatialAttention
from cdzoo.layers.conv import ConvBNReLU
from cdzoo.layers.drop_path import drop_path
from cdzoo.layers.init import kaiming_init_, normal_init_, prior_init_, truncated_init_
from cdzoo.layers.position_attention import PositionAttention
from cdzoo.layers.ss2d import SS2D
from cdzoo.layers.unet_conv import UNetConv
from cdzoo.layers.vss_block import VSSBlock

__all__ = [
    "CBAM",
    "SS2D",
    "ChannelAttention",
    "ConvBNReLU",
    "PositionAttention",
    "SpatialAttention",
    "UNetConv",
    "VSSBlock",
    "drop_path",
    "kaiming_init_",
    "normal_init_",
    "prior_init_",
    "truncated_init_",
]
