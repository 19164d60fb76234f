"""Encoders of one image. Any timm encoder is one too, as `timm/<name>`."""

from cdzoo.backbones.timm import TimmBackbone
from cdzoo.backbones.vss import VSSBackbone

__all__ = ["TimmBackbone", "VSSBackbone"]
