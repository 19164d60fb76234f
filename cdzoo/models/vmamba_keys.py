"""Parameter names of VMamba and of components shared by the networks built on it."""

from __future__ import annotations

import re

from cdzoo.weights.keys import substitute

BLOCK = (
    ("in_proj.", "op.in_proj."),
    ("conv.", "op.conv2d."),
    ("ss2d.", "op."),
    ("out_norm.", "op.out_norm."),
    ("out_proj.", "op.out_proj."),
)
CONV_NORM = {"conv": 0, "norm": 2}
STEPWISE = (
    ("head.enlarge.0.0.", "upsample_x4.0."),
    ("head.enlarge.0.1.", "upsample_x4.1."),
    ("head.enlarge.1.0.", "upsample_x4.4."),
    ("head.enlarge.1.1.", "upsample_x4.5."),
    ("head.classify.", "conv_out_change."),
)


def vmamba_key(key: str) -> str:
    """Return the name in VMamba's code of a parameter of the `vmamba` backbone; there, a stage ends with its downsampling."""
    if match := re.fullmatch(r"patch_embed\.([02])\.(conv|norm)\.(\w+)", key):
        return f"patch_embed.{int(match[1]) // 2 * 5 + CONV_NORM[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"stages\.(\d)\.downsample\.(conv|norm)\.(\w+)", key):
        return f"layers.{int(match[1]) - 1}.downsample.{CONV_NORM[match[2]] + 1}.{match[3]}"
    if match := re.fullmatch(r"stages\.(\d)\.blocks\.(\d+)\.(.+)", key):
        return f"layers.{match[1]}.blocks.{match[2]}.{substitute(match[3], BLOCK)}"
    return re.sub(r"^norms\.", "outnorm", key)
