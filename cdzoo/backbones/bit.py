"""`bit_resnet18`: ResNet-18 backbone of BIT."""

from __future__ import annotations

from torch import Tensor

from cdzoo.components import Backbone
from cdzoo.layers import normal_init_
from cdzoo.layers.drop_path import check_drop_path
from cdzoo.registry import register_backbone


@register_backbone("bit_resnet18")
class BITResNet18(Backbone):
    """ResNet-18 up to its third stage, whose stride is removed: one level of 256 channels at stride 8.

    As in the official code, the fourth stage and the classifier are created but not used, so that official checkpoints load
    strictly; they do not require gradients. The official code requests a dilated third stage, but its basic blocks ignore
    dilation. It also reinitializes all weights after loading ImageNet weights, so no pretrained weights are used here either.

    Source: H. Chen, Z. Qi, Z. Shi, "Remote Sensing Image Change Detection with Transformers", IEEE TGRS 60 (2022), arXiv
    2103.00208; K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.

    Args:
        in_chans: Number of input channels.
        drop_path: Stochastic depth rate of the last block; rates increase linearly from 0.

    Raises:
        ConfigError: `drop_path` is not in [0, 1).
    """

    is_local = True

    def __init__(self, in_chans: int = 3, drop_path: float = 0.0) -> None:
        import timm  # imported here because it takes seconds to import

        super().__init__(in_chans, [256], [8], stages=["resnet.layer3"])
        check_drop_path(drop_path)
        resnet = timm.create_model("resnet18", pretrained=False, in_chans=in_chans, drop_path_rate=drop_path)
        block = resnet.layer3[0]
        block.conv1.stride = block.downsample[0].stride = (1, 1)
        self.resnet = resnet
        normal_init_(self)
        for unused in (resnet.layer4, resnet.fc):
            unused.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns one level (B, 256, H / 8, W / 8)."""
        net = self.resnet
        x = net.maxpool(net.act1(net.bn1(net.conv1(x))))
        for layer in (net.layer1, net.layer2, net.layer3):
            x = self.run_stage(layer, x)
        return [x]
