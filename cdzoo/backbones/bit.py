"""`bit_resnet18`: the ResNet-18 of BIT."""

from __future__ import annotations

from torch import Tensor

from cdzoo.components import Backbone
from cdzoo.layers import normal_init_
from cdzoo.registry import register_backbone


@register_backbone("bit_resnet18")
class BITResNet18(Backbone):
    """ResNet-18 to its third stage, which keeps the size: one level of 256 channels at stride 8.

    The fourth stage and the classifier are built and never used, as in the authors' code, so that its checkpoints load
    strictly; they take no gradient. That code asks for a dilated third stage, but its basic blocks have no dilation. It also
    draws all weights anew after it loaded those of ImageNet, so BIT starts from scratch, as here.

    Source: H. Chen, Z. Qi, Z. Shi, "Remote Sensing Image Change Detection with Transformers", IEEE TGRS 60 (2022), arXiv
    2103.00208; K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.

    Args:
        in_chans: Bands of the image.
    """

    def __init__(self, in_chans: int = 3) -> None:
        import timm  # seconds to import; only needed by those who use it

        super().__init__(in_chans, [256], [8])
        resnet = timm.create_model("resnet18", pretrained=False, in_chans=in_chans)
        first = resnet.layer3[0]
        first.conv1.stride = first.downsample[0].stride = (1, 1)
        self.resnet = resnet
        normal_init_(self)
        for unused in (resnet.layer4, resnet.fc):
            unused.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W) into one map (B, 256, H / 8, W / 8)."""
        net = self.resnet
        x = net.maxpool(net.act1(net.bn1(net.conv1(x))))
        return [net.layer3(net.layer2(net.layer1(x)))]
