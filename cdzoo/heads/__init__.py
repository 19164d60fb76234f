"""Heads: compute logits of image size from a pyramid."""

from cdzoo.heads.changeformer import ChangeFormerHead
from cdzoo.heads.conv import Conv
from cdzoo.heads.fcn import FCN
from cdzoo.heads.stepwise import Stepwise
from cdzoo.heads.summation import Summation

__all__ = ["FCN", "ChangeFormerHead", "Conv", "Stepwise", "Summation"]
