"""Decoders: refine or merge the fused pyramid."""

from cdzoo.decoders.concat_up import ConcatUp
from cdzoo.decoders.csie import CSIE
from cdzoo.decoders.top_down import TopDown
from cdzoo.decoders.unet import UNetDecoder

__all__ = ["CSIE", "ConcatUp", "TopDown", "UNetDecoder"]
