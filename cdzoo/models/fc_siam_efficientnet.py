"""FC-Siam-Diff on EfficientNet-Lite0: a small model whose encoder starts from ImageNet weights.

The encoder is timm's `tf_efficientnet_lite0` (M. Tan, Q. V. Le, "EfficientNet", ICML 2019, arXiv 1905.11946, without
squeeze-and-excitation), with all five levels from stride 2 on; the rest is FC-Siam-Diff (`cdzoo.models.fc_siam`) with a narrower
decoder.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.models.fc_siam import fc_siam_diff
from cdzoo.registry import register_model


@register_model
def fc_siam_diff_efficientnet_lite0(**changes: Any) -> ModelCfg:
    """FC-Siam-Diff with the encoder EfficientNet-Lite0."""
    return replace(
        fc_siam_diff(),
        name="fc_siam_diff_efficientnet_lite0",
        backbone=ComponentCfg("timm/tf_efficientnet_lite0", {"out_indices": [0, 1, 2, 3, 4]}),
        decoder=ComponentCfg("unet", {"widths": [24, 48, 64, 128]}),
        head=ComponentCfg("conv", {"kernel_size": 3}),
        num_classes=1,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        original="huggingface/pytorch-image-models (encoder, Apache-2.0)",
        recipe="",
        **{"description": "FC-Siam-Diff on EfficientNet-Lite0, small, for use on photographs", **changes},
    )
