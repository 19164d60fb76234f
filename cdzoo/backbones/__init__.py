"""Backbones: encoders of one image. Any timm encoder is available as `timm/<name>`."""

from cdzoo.backbones.bit import BITResNet18
from cdzoo.backbones.changeformer import ChangeFormerEncoder
from cdzoo.backbones.timm import TimmBackbone
from cdzoo.backbones.unet import UNetEncoder
from cdzoo.backbones.vmamba import VMamba
from cdzoo.backbones.vss import VSSBackbone

__all__ = ["BITResNet18", "ChangeFormerEncoder", "TimmBackbone", "UNetEncoder", "VMamba", "VSSBackbone"]
