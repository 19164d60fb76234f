"""`tinycd`: the image and the first stages of an EfficientNet, the backbone of TinyCD."""

from __future__ import annotations

from torch import Tensor

from cdzoo.backbones.timm import TimmBackbone
from cdzoo.components import Backbone
from cdzoo.errors import ConfigError
from cdzoo.registry import register_backbone


@register_backbone("tinycd")
class TinyCDBackbone(Backbone):
    """The image at stride 1, followed by the first stages of a timm encoder; its later stages are not built.

    With the defaults, the levels have in_chans, 24, 32 and 56 channels at strides 1, 2, 4 and 8.

    Source: A. Codegoni, G. Lombardi, A. Ferrari, "TINYCD", Neural Computing and Applications 35 (2023), arXiv 2207.13159; M. Tan,
    Q. V. Le, "EfficientNet", ICML 2019, arXiv 1905.11946.

    Args:
        in_chans: Number of input channels.
        encoder: timm encoder whose first level has stride 2, such as an EfficientNet, optionally with a pretrained tag.
        stages: Number of stages.
        pretrained: Load timm's pretrained weights of the encoder, from the Hugging Face Hub or its cache.
        drop_path: Stochastic depth rate of the last block of the whole encoder.

    Raises:
        ConfigError: The encoder has no such stages, or `drop_path` is not in [0, 1).
        WeightsError: The pretrained weights could not be loaded.
    """

    def __init__(
        self,
        in_chans: int = 3,
        encoder: str = "efficientnet_b4",
        stages: int = 3,
        pretrained: bool = False,
        drop_path: float = 0.2,
    ) -> None:
        if stages < 1:
            raise ConfigError(f"backbone tinycd: stages must be at least 1, got {stages}")
        # The feature class "getter" drops the stages that are not returned.
        network = TimmBackbone(encoder, in_chans, pretrained, range(stages), drop_path, feature_cls="getter")
        if network.out_strides[0] != 2:
            raise ConfigError(
                f"backbone tinycd: the first level of {encoder} has stride {network.out_strides[0]} instead of 2; use an "
                "EfficientNet"
            )
        names = ["", *(f"encoder.{name}" for name in network.stages_of_levels)] if network.stages_of_levels else ()
        super().__init__(in_chans, [in_chans, *network.out_channels], [1, *network.out_strides], network.pad_multiple, names)
        self.encoder = network

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns the image and one map (B, C_i, H / s_i, W / s_i) per stage."""
        return [x, *self.encoder(x)]

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Enable the checkpointing of the encoder."""
        self.encoder.set_grad_checkpointing(enable)
