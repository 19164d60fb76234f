"""`stanet_resnet18`: ResNet-18 backbone of STANet."""

from __future__ import annotations

from typing import Any

from cdzoo.backbones.timm import TimmBackbone
from cdzoo.layers.drop_path import drop_path as drop_path_layer
from cdzoo.registry import register_backbone

_CHANNELS = 512
_DILATIONS = (1, 2, 4)


@register_backbone("stanet_resnet18")
class STANetResNet18(TimmBackbone):
    """ResNet-18 whose last stage has three blocks with dilation 1, 2 and 4 in their first convolutions.

    Returns 64, 128, 256 and 512 channels at strides 4, 8, 16 and 32. Images of any size are accepted.

    Source: H. Chen, Z. Shi, "A Spatial-Temporal Attention-Based Method and a New Dataset for Remote Sensing Image Change
    Detection", Remote Sensing 12 (2020), doi 10.3390/rs12101662; K. He et al., "Deep Residual Learning for Image Recognition",
    CVPR 2016.

    Args:
        in_chans: Number of input channels.
        pretrained: Load timm's weights for ImageNet, from the Hugging Face Hub or its cache; the third block of the last stage
            is newly initialized.
        drop_path: Stochastic depth rate of the last two blocks; rates increase linearly from 0.

    Raises:
        ConfigError: `drop_path` is not in [0, 1).
        WeightsError: The pretrained weights could not be loaded.
    """

    is_local = True

    def __init__(self, in_chans: int = 3, pretrained: bool = False, drop_path: float = 0.0) -> None:
        from timm.models.resnet import BasicBlock  # imported here because timm takes seconds to import

        super().__init__("resnet18", in_chans, pretrained, out_indices=(1, 2, 3, 4), drop_path=drop_path)
        self.pad_multiple = 1  # the strided convolutions round up
        last: Any = self.model.get_submodule("layer4")
        last.append(BasicBlock(_CHANNELS, _CHANNELS, drop_path=drop_path_layer(drop_path)))
        for block, dilation in zip(last, _DILATIONS, strict=True):
            block.conv1.dilation = block.conv1.padding = (dilation, dilation)
