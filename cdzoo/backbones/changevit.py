"""`changevit`: plain vision transformer beside the first stages of a ResNet-18, the backbone of ChangeViT.

Source: D. Zhu, X. Huang, H. Huang, H. Zhou, Z. Shao, "ChangeViT: Unleashing Plain Vision Transformers for Change Detection",
arXiv 2406.12847.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.components import Backbone
from cdzoo.errors import ConfigError
from cdzoo.layers.drop_path import check_drop_path
from cdzoo.registry import register_backbone

PATCH = 16


@register_backbone("changevit")
class ChangeViTBackbone(Backbone):
    """Three levels of ResNet-18 without max pooling at strides 2, 4, 8, and the tokens of a vision transformer at stride 16.

    Takes images of one size only, 256 x 256 pixels in the official code. As there, the position embeddings are resampled by a
    factor of 1.00625 in every forward pass, and the fourth stage and the classifier of the ResNet and a mask token are created
    but not used; they do not require gradients. The transformer has no class token.

    Args:
        in_chans: Number of input channels.
        channels: Number of channels of the transformer.
        depth: Number of transformer blocks.
        heads: Number of attention heads; must divide the channels. The official code has 6 for both sizes, DeiT-Ti has 3.
        drop: Dropout rate of the finest level.
        drop_path: Stochastic depth rate of the last block; rates increase linearly from 0.
        img_size: Height and width of the images; a multiple of 16.

    Raises:
        ConfigError: An argument is out of range, or the heads do not divide the channels.
    """

    def __init__(
        self,
        in_chans: int = 3,
        channels: int = 192,
        depth: int = 12,
        heads: int = 6,
        drop: float = 0.01,
        drop_path: float = 0.0,
        img_size: int = 256,
    ) -> None:
        import timm  # imported here because it takes seconds to import

        if min(channels, depth, heads) < 1 or channels % heads or not 0 <= drop < 1:
            raise ConfigError(
                "backbone changevit: channels, depth and heads must be positive, heads must divide the channels, and drop be in "
                f"[0, 1), got {channels}, {depth}, {heads}, {drop}"
            )
        if img_size < PATCH or img_size % PATCH:
            raise ConfigError(f"backbone changevit: img_size must be a multiple of {PATCH}, got {img_size}")
        check_drop_path(drop_path)
        super().__init__(in_chans, [64, 128, 256, channels], [2, 4, 8, PATCH])
        self.fixed_input_size = img_size
        self.grid = img_size // PATCH
        self.vit = timm.models.VisionTransformer(
            img_size=img_size,
            patch_size=PATCH,
            in_chans=in_chans,
            num_classes=0,
            global_pool="",
            embed_dim=channels,
            depth=depth,
            num_heads=heads,
            class_token=False,
            drop_path_rate=drop_path,
            norm_layer=functools.partial(nn.LayerNorm, eps=1e-6),
        )
        self.vit.mask_token = nn.Parameter(torch.zeros(1, channels), requires_grad=False)
        self.resnet = timm.create_model("resnet18", pretrained=False, in_chans=in_chans)
        self.drop = nn.Dropout(drop)
        for unused in (self.resnet.layer4, self.resnet.fc):
            unused.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns one map (B, C_i, H / s_i, W / s_i) per level."""
        net = self.resnet
        fine = self.drop(self.run_stage(net.layer1, net.act1(net.bn1(net.conv1(x)))))
        middle = self.run_stage(net.layer2, fine)
        return [fine, middle, self.run_stage(net.layer3, middle), self._tokens(x)]

    def _tokens(self, x: Tensor) -> Tensor:
        vit = self.vit
        x = vit.patch_embed(x) + self._positions()
        for block in vit.blocks:
            x = self.run_stage(block, x)
        return vit.norm(x).transpose(1, 2).unflatten(2, (self.grid, self.grid))

    def _positions(self) -> Tensor:
        """Return the resampled position embeddings (1, tokens, C)."""
        grid = self.vit.pos_embed.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        # The factor of the official code, which adds 0.1 to the size so that it is rounded down to it.
        return F.interpolate(grid, scale_factor=(self.grid + 0.1) / self.grid, mode="bicubic").flatten(2).transpose(1, 2)
