"""CGNet: change guiding network.

Source: C. Han, C. Wu, H. Guo, M. Hu, J. Li, H. Chen, "Change Guiding Network: Incorporating Change Prior to Guide Change
Detection in Remote Sensing Imagery", IEEE JSTARS 16 (2023), doi 10.1109/JSTARS.2023.3310208. The official code has three
layers more (`up_layer2` to `up_layer4`, 5.3 M parameters), which it does not use.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = "Han et al., Change Guiding Network, IEEE JSTARS 16 (2023), doi 10.1109/JSTARS.2023.3310208"
ORIGINAL = "ChengxiHAN/CGNet-CD (no license stated)"
CITATION = """@article{han2023change,
  title={Change Guiding Network: Incorporating Change Prior to Guide Change Detection in Remote Sensing Imagery},
  author={Han, Chengxi and Wu, Chen and Guo, Haonan and Hu, Meiqi and Li, Jiepan and Chen, Hongruixuan},
  journal={IEEE Journal of Selected Topics in Applied Earth Observations and Remote Sensing},
  volume={16},
  pages={8395--8407},
  year={2023}
}"""


@register_model
def cgnet(**changes: Any) -> ModelCfg:
    """CGNet: a coarse change map guides the attention of the decoder."""
    config = ModelCfg(
        name="cgnet",
        backbone=ComponentCfg("cgnet_vgg16_bn"),
        fusion=ComponentCfg("concat_conv", {"kernel_size": 3, "reverse": True}),
        decoder=ComponentCfg("change_guide", {"return_guide": True}),
        head=ComponentCfg("guided"),
        mean=(0.5,),
        std=(0.5,),
        description="CGNet: Siamese VGG-16, attention guided by a coarse change map",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="cgnet",
    )
    return replace(config, **changes)


# Index of the first convolution of each part of VGG-16 in the official code.
_PARTS = ((34, "down4"), (24, "down3"), (14, "down2"), (7, "down1"), (0, "inc"))
_RULES = (
    ("decoder.guide.0.0.", "decoder.0.conv."),
    ("decoder.guide.0.1.", "decoder.0.bn."),
    ("decoder.guide.1.", "decoder.1."),
    ("head.smooth.0.", "decoder_final.0.conv."),
    ("head.smooth.1.", "decoder_final.0.bn."),
    ("head.classify.", "decoder_final.1."),
)
_CONV = {"0": "conv", "1": "bn"}


def _official_key(key: str) -> str:
    """Official levels are counted from 1; attention and merging are named after the coarser of two levels."""
    if match := re.fullmatch(r"backbone\.model\.features_(\d+)\.(.+)", key):
        part = next(part for first, part in _PARTS if int(match[1]) >= first)
        return f"{part}.{match[1]}.{match[2]}"
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.fuse\.([01])\.(.+)", key):
        return f"conv_reduce_{int(match[1]) + 1}.{_CONV[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"decoder\.merges\.(\d)\.([01])\.(.+)", key):
        return f"decoder_module{int(match[1]) + 2}.{_CONV[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"decoder\.attentions\.(\d)\.(\w+)(\..+)?", key):
        name = match[2] if match[2] == "gamma" else f"{match[2]}_conv{match[3]}"
        return f"cgm_{int(match[1]) + 2}.{name}"
    return substitute(key, _RULES)


register_key_map(KeyMap(("cgnet",), _official_key, "ChengxiHAN/CGNet-CD", ignored=("up_layer[234].*",)))
