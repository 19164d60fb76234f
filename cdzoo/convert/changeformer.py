"""Parameter names of ChangeFormer V6."""

from __future__ import annotations

import re

from cdzoo.convert.family import Family, register_family, substitute

_RULES = (
    ("head.join.", "TDec_x2.linear_fuse."),
    ("head.enlarge.0.up.", "TDec_x2.convd2x.conv2d."),
    ("head.enlarge.0.conv1.", "TDec_x2.dense_2x.0.conv1.conv2d."),
    ("head.enlarge.0.conv2.", "TDec_x2.dense_2x.0.conv2.conv2d."),
    ("head.enlarge.1.up.", "TDec_x2.convd1x.conv2d."),
    ("head.enlarge.1.conv1.", "TDec_x2.dense_1x.0.conv1.conv2d."),
    ("head.enlarge.1.conv2.", "TDec_x2.dense_1x.0.conv2.conv2d."),
    ("head.classify.", "TDec_x2.change_probability.conv2d."),
)


def _official_key(key: str) -> str:
    """Levels are counted from 1; the depthwise convolution sits in a module of its own."""
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.(patch_embed|norm)\.(.+)", key):
        return f"Tenc_x2.{match[2]}{int(match[1]) + 1}.{match[3]}"
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.blocks\.(.+)", key):
        return f"Tenc_x2.block{int(match[1]) + 1}.{match[2]}".replace(".dwconv.", ".dwconv.dwconv.")
    for ours, official in (
        (r"neck\.levels\.(\d)\.", "TDec_x2.linear_c{}.proj."),
        (r"fusion\.levels\.(\d)\.", "TDec_x2.diff_c{}."),
        (r"head\.sides\.(\d)\.", "TDec_x2.make_pred_c{}."),
    ):
        if match := re.match(ours, key):
            return official.format(int(match[1]) + 1) + key[match.end() :]
    return substitute(key, _RULES)


register_family(Family(("changeformer*",), _official_key, "wgcban/ChangeFormer"))
