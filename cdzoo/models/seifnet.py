"""SEIFNet: spatiotemporal enhancement and interlevel fusion network.

Source: Y. Huang, X. Li, Z. Du, H. Shen, "Spatiotemporal Enhancement and Interlevel Fusion Network for Remote Sensing Images
Change Detection", IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3360516. The official code has a classifier and three convolutions
more, which it does not use.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = "Huang et al., SEIFNet, IEEE TGRS 62 (2024), doi 10.1109/TGRS.2024.3360516"
ORIGINAL = "lixinghua5540/SEIFNet (no license stated)"
CITATION = """@article{huang2024spatiotemporal,
  title={Spatiotemporal Enhancement and Interlevel Fusion Network for Remote Sensing Images Change Detection},
  author={Huang, Yanyuan and Li, Xinghua and Du, Zhengshun and Shen, Huanfeng},
  journal={IEEE Transactions on Geoscience and Remote Sensing},
  volume={62},
  pages={1--14},
  year={2024}
}"""


@register_model
def seifnet(**changes: Any) -> ModelCfg:
    """SEIFNet: ResNet-18, enhanced differences, interlevel fusion."""
    config = ModelCfg(
        name="seifnet",
        backbone=ComponentCfg("timm/resnet18"),
        fusion=ComponentCfg("seifnet"),
        decoder=ComponentCfg("seifnet"),
        head=ComponentCfg("level_sum"),
        num_classes=2,
        mean=(0.5,),
        std=(0.5,),
        description="SEIFNet: Siamese ResNet-18, enhanced differences, interlevel fusion",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="seifnet",
    )
    return replace(config, **changes)


_COMBINE = {"0": "Conv3", "1": "BN1", "3": "Conv1", "4": "BN2"}
_REFINE = (
    ("0.0.mlp.", "cbam.channel_attention.shared_MLP."),
    ("0.1.conv.", "cbam.spatial_attention.conv2d."),
    ("1.", "conv2.0."),
    ("2.", "conv2.1."),
)
_FUSE = (
    ("project.0.", "conv1."),
    ("project.1.", "BN."),
    ("attention.mlp.0.", "ca.fc1."),
    ("attention.mlp.2.", "ca.fc2."),
)


def _official_key(key: str) -> str:
    """Official levels are counted from 1."""
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.combine\.(\d)\.(.+)", key):
        return f"diff{int(match[1]) + 1}.{_COMBINE[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.attention\.(.+)", key):
        return f"diff{int(match[1]) + 1}.coAtt_1.{match[2]}"
    if match := re.fullmatch(r"decoder\.refine\.(\d)\.(.+)", key):
        return f"sam_p{int(match[1]) + 1}.{substitute(match[2], _REFINE)}"
    if match := re.fullmatch(r"decoder\.fuse\.(\d)\.(.+)", key):
        return f"ACFF{int(match[1]) + 1}.{substitute(match[2], _FUSE)}"
    if match := re.fullmatch(r"head\.projections\.(\d)\.(.+)", key):
        return f"conv{int(match[1]) + 2}.{match[2]}"
    return substitute(key, (("backbone.model.", "backbone."), ("head.classify.", "conv_final1.")))


register_key_map(
    KeyMap(("seifnet",), _official_key, "lixinghua5540/SEIFNet", ignored=("backbone.fc.*", "classifier.*", "ACFF[123].conv.*"))
)
