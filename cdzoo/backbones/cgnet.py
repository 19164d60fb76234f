"""`cgnet_vgg16_bn`: VGG-16 backbone of CGNet."""

from __future__ import annotations

from torch import nn

from cdzoo.backbones.timm import TimmBackbone
from cdzoo.registry import register_backbone

_LAST_RELU = "features_42"


@register_backbone("cgnet_vgg16_bn")
class CGNetVGG(TimmBackbone):
    """VGG-16 with batch normalization: 128, 256, 512 and 512 channels at strides 2, 4, 8 and 16.

    As in the official code, the last level is taken before its ReLU, so that it has negative values; the others are taken after
    it.

    Source: C. Han et al., "Change Guiding Network: Incorporating Change Prior to Guide Change Detection in Remote Sensing
    Imagery", IEEE JSTARS 16 (2023), doi 10.1109/JSTARS.2023.3310208; K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks
    for Large-Scale Image Recognition", ICLR 2015.

    Args:
        in_chans: Number of input channels.
        pretrained: Load timm's weights for ImageNet, from the Hugging Face Hub or its cache.

    Raises:
        WeightsError: The pretrained weights could not be loaded.
    """

    is_local = True

    def __init__(self, in_chans: int = 3, pretrained: bool = False) -> None:
        super().__init__("vgg16_bn", in_chans, pretrained, out_indices=(1, 2, 3, 4))
        setattr(self.model, _LAST_RELU, nn.Identity())
