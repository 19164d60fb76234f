"""`dual`: two timm encoders side by side, such as a convolutional network and a transformer; the backbone of ICIF-Net."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cdzoo.backbones.timm import TimmBackbone, describe
from cdzoo.components import Backbone
from cdzoo.errors import ConfigError
from cdzoo.registry import register_backbone


@register_backbone("dual")
class DualEncoder(Backbone):
    """Concatenation of the levels of two timm encoders from stride 4 on: first those of the first encoder.

    Source: Y. Feng, H. Xu, J. Jiang, H. Liu, J. Zheng, "ICIF-Net: Intra-Scale Cross-Interaction and Inter-Scale Feature Fusion
    Network for Bitemporal Remote Sensing Images Change Detection", IEEE TGRS 60 (2022), doi 10.1109/TGRS.2022.3168331.

    Args:
        in_chans: Number of input channels.
        encoders: Names of the two timm encoders, optionally with pretrained tags; PVT v2 and ResNet have the same strides.
        levels: Number of levels; later stages are not built.
        pretrained: Load timm's pretrained weights, from the Hugging Face Hub or its cache.
        drop_path: Stochastic depth rate of the last block of both encoders.

    Raises:
        ConfigError: There are not two encoders, or their strides differ.
        UnknownNameError: timm has no encoder of this name.
        WeightsError: The pretrained weights could not be loaded.
    """

    def __init__(
        self,
        in_chans: int = 3,
        encoders: Sequence[str] = ("resnet18", "pvt_v2_b1"),
        levels: int = 3,
        pretrained: bool = False,
        drop_path: float = 0.0,
    ) -> None:
        if len(encoders) != 2 or levels < 1:
            raise ConfigError(f"backbone dual: two encoders and at least one level are needed, got {tuple(encoders)}, {levels}")
        built = [TimmBackbone(name, in_chans, pretrained, _indices(name, levels), drop_path) for name in encoders]
        strides = built[0].out_strides
        if any(encoder.out_strides != strides for encoder in built):
            raise ConfigError(f"backbone dual: the strides of the encoders differ: {[encoder.out_strides for encoder in built]}")
        channels = [sum(widths) for widths in zip(*(encoder.out_channels for encoder in built), strict=True)]
        # PVT v2 reduces the maps of keys and values to stride 32.
        super().__init__(in_chans, channels, strides, max(32, *(encoder.pad_multiple for encoder in built)))
        self.encoders = nn.ModuleList(built)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns one map (B, C_i, H / s_i, W / s_i) per level."""
        return [torch.cat(maps, dim=1) for maps in zip(*(encoder(x) for encoder in self.encoders), strict=True)]

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Enable the checkpointing of the encoders."""
        for encoder in self.encoders.children():
            assert isinstance(encoder, TimmBackbone)
            encoder.set_grad_checkpointing(enable)


def _indices(name: str, levels: int) -> list[int] | None:
    """Return the indices of the first levels of an encoder from stride 4 on; None, that is all, if it has no features."""
    try:
        _, strides, _ = describe(name, {"features_only": True})
    except Exception:  # of any encoder; TimmBackbone says what is wrong
        return None
    return [i for i, stride in enumerate(strides) if stride >= 4][:levels]
