"""`semantic`: decoder of the land cover of one date, as in ChangeMamba: VSS blocks and residual blocks from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.components import Decoder
from cdzoo.errors import ConfigError
from cdzoo.layers import ConvBNReLU, VSSBlock
from cdzoo.layers.resize import resize
from cdzoo.registry import register_decoder


@register_decoder("semantic")
class SemanticDecoder(Decoder):
    """Top-down decoder with a VSS block and a residual block per level; returns the finest level.

    The coarsest level goes through Conv1x1 and a VSS block. Then, at each finer level: bilinear upsampling, addition of the
    Conv1x1-BN-ReLU of the level, residual block of ResNet-18, VSS block. A last residual block follows.

    Source: H. Chen et al., "ChangeMamba", IEEE TGRS 62 (2024), arXiv 2404.03425: the semantic decoder of MambaSCD, which is also
    the building decoder of MambaBDA.

    Args:
        in_channels: Number of input channels per level.
        in_strides: Stride per level.
        channels: Number of output channels.
        drop_path: Stochastic depth rate of the VSS blocks.
        d_state: State size N of the scans.

    Raises:
        ConfigError: `channels` is below 1.
    """

    is_local = False

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        channels: int = 128,
        drop_path: float = 0.1,
        d_state: int = 1,
    ) -> None:
        from torchvision.models.resnet import BasicBlock  # imported here because torchvision takes long to import

        if channels < 1:
            raise ConfigError(f"decoder semantic: channels must be at least 1, got {channels}")
        super().__init__(in_channels, in_strides, [channels])
        self.project = nn.Conv2d(in_channels[-1], channels, 1)
        self.transitions = nn.ModuleList(ConvBNReLU(c, channels, 1, bias=True) for c in in_channels[:-1])
        self.smooth = nn.ModuleList(BasicBlock(channels, channels) for _ in in_channels[:-1])
        self.scans = nn.ModuleList(
            VSSBlock(channels, d_state, 2.0, "cross", drop_path, gated=False, conv_bias=False, mlp_ratio=4.0) for _ in in_channels
        )
        self.refine = BasicBlock(channels, channels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Merge a pyramid into one map (B, channels, h, w) of the size of its finest level."""
        x = self._scan(len(features) - 1, self.project(features[-1]))
        for level in reversed(range(len(features) - 1)):
            skip = self.transitions[level](features[level])
            x = self._scan(level, self.smooth[level](skip + resize(x, skip.shape[-2:])))
        return [self.refine(x)]

    def _scan(self, level: int, x: Tensor) -> Tensor:
        return self.scans[level](x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
