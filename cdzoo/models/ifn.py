"""IFN: deeply supervised image fusion network, also called DSIFN.

Source: C. Zhang, P. Yue, D. Tapete, L. Jiang, B. Shangguan, L. Huang, G. Liu, "A deeply supervised image fusion network for
change detection in high resolution bi-temporal remote sensing images", ISPRS J. Photogramm. Remote Sens. 166 (2020), doi
10.1016/j.isprsjprs.2020.06.003. As in the released class, each date has a VGG-16 of its own; its users are told to initialize
both with the same ImageNet weights and to freeze them. The models return logits; the official code ends with sigmoids. It also
creates a channel attention and two norms that it does not use.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.registry import register_model
from cdzoo.weights.keys import KeyMap, register_key_map, substitute

PAPER = "Zhang et al., A deeply supervised image fusion network, ISPRS JPRS 166 (2020), doi 10.1016/j.isprsjprs.2020.06.003"
SOURCE = "GeoZcx/A-deeply-supervised-image-fusion-network-for-change-detection-in-remote-sensing-images"
ORIGINAL = f"{SOURCE} (non-commercial and research use only)"
CITATION = """@article{zhang2020deeply,
  title={A deeply supervised image fusion network for change detection in high resolution bi-temporal remote sensing images},
  author={Zhang, Chenxiao and Yue, Peng and Tapete, Deodato and Jiang, Liangcun and Shangguan, Boyi and Huang, Li and others},
  journal={ISPRS Journal of Photogrammetry and Remote Sensing},
  volume={166},
  pages={183--200},
  year={2020}
}"""


@register_model(aliases=["dsifn"])
def ifn(**changes: Any) -> ModelCfg:
    """IFN: two VGG-16 encoders, attention on the concatenated dates, deep supervision of five levels."""
    config = ModelCfg(
        name="ifn",
        backbone=ComponentCfg("timm/vgg16", {"out_indices": [0, 1, 2, 3, 4]}),
        fusion=ComponentCfg("concat"),
        decoder=ComponentCfg("ifn", {"all_levels": True}),
        head=ComponentCfg("deep_supervision"),
        siamese=False,
        description="IFN (DSIFN): two VGG-16 encoders, attention, deep supervision",
        paper=PAPER,
        original=ORIGINAL,
        citation=CITATION,
        recipe="ifn",
    )
    return replace(config, **changes)


_LEVELS = 5
_STAGE = (
    ("spatial.conv.", "sa{}.conv1."),
    ("norm.", "bn_sa{}."),
    ("channel.mlp.0.", "ca{}.fc1."),
    ("channel.mlp.2.", "ca{}.fc2."),
)


def _official_key(key: str) -> str:
    """Official branches are counted from the coarsest level, from 1; upsampling belongs to the coarser of two branches."""
    if match := re.fullmatch(r"backbone(2?)\.model\.features_(.+)", key):
        return f"t{match[1] or 1}_base.features.{match[2]}"
    if match := re.fullmatch(r"head\.classify\.(\d)\.(.+)", key):
        branch = _LEVELS - int(match[1])
        return f"o{branch}_conv{3 if branch == 1 else 4}.{match[2]}"
    if match := re.fullmatch(r"decoder\.stages\.(\d)\.(.+)", key):
        branch, rest = _LEVELS - int(match[1]), match[2]
        if conv := re.fullmatch(r"convs\.(\d)\.(.+)", rest):
            return f"o{branch}_conv{int(conv[1]) + 1}.{conv[2]}"
        if rest.startswith("up."):
            return f"trans_conv{branch - 1}.{rest.removeprefix('up.')}"
        return substitute(rest, _STAGE).format(branch)
    return key


register_key_map(KeyMap(("ifn",), _official_key, SOURCE, ignored=("ca1.*", "bn_ca[12].*")))
