"""Parameter names of the networks on VMamba: VMamba itself, MambaBCD, RSM-CD and the MF-Mamba decoder."""

from __future__ import annotations

import re

from cdzoo.convert.family import Family, register_family, substitute

_BLOCK = (
    ("in_proj.", "op.in_proj."),
    ("conv.", "op.conv2d."),
    ("ss2d.", "op."),
    ("out_norm.", "op.out_norm."),
    ("out_proj.", "op.out_proj."),
)
_CONV_NORM = {"conv": 0, "norm": 2}
_STEPWISE = (
    ("head.enlarge.0.0.", "upsample_x4.0."),
    ("head.enlarge.0.1.", "upsample_x4.1."),
    ("head.enlarge.1.0.", "upsample_x4.4."),
    ("head.enlarge.1.1.", "upsample_x4.5."),
    ("head.classify.", "conv_out_change."),
)


def vmamba_key(key: str) -> str:
    """Turn a name of our `vmamba` backbone into that of VMamba's code, where a stage ends with the halving of its map."""
    if match := re.fullmatch(r"patch_embed\.([02])\.(conv|norm)\.(\w+)", key):
        return f"patch_embed.{int(match[1]) // 2 * 5 + _CONV_NORM[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"stages\.(\d)\.downsample\.(conv|norm)\.(\w+)", key):
        return f"layers.{int(match[1]) - 1}.downsample.{_CONV_NORM[match[2]] + 1}.{match[3]}"
    if match := re.fullmatch(r"stages\.(\d)\.blocks\.(\d+)\.(.+)", key):
        return f"layers.{match[1]}.blocks.{match[2]}.{substitute(match[3], _BLOCK)}"
    return re.sub(r"^norms\.", "outnorm", key)


def _mambabcd_key(key: str) -> str:
    """Levels are counted from 1, arrangements (parallel, cross, sequential) too."""
    if key.startswith("backbone."):
        return "encoder." + vmamba_key(key.removeprefix("backbone."))
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.arrangements\.(\d)\.(project|scan)\.(.+)", key):
        block = f"decoder.st_block_{int(match[1]) + 1}{int(match[2]) + 1}"
        return f"{block}.0.{match[4]}" if match[3] == "project" else f"{block}.2.{substitute(match[4], _BLOCK)}"
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.fuse\.(.+)", key):
        return f"decoder.fuse_layer_{int(match[1]) + 1}.{match[2]}"
    if match := re.fullmatch(r"decoder\.smooth\.(\d)\.(.+)", key):
        return f"decoder.smooth_layer_{int(match[1]) + 1}.{match[2]}"
    return key.replace("head.classify.", "main_clf.")


def _rsm_key(key: str) -> str:
    """Each stage is an encoder block that begins with the halving; the misspelt decoder is the authors'."""
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.downsample\.(conv|norm)\.(\w+)", key):
        return f"encoder_block{int(match[1]) + 1}.downsample.{_CONV_NORM[match[2]] + 1}.{match[3]}"
    if match := re.fullmatch(r"backbone\.stages\.(\d)\.blocks\.(\d+)\.(.+)", key):
        return f"encoder_block{int(match[1]) + 1}.blocks.{match[2]}.{substitute(match[3], _BLOCK)}"
    if key.startswith("backbone."):
        return vmamba_key(key.removeprefix("backbone."))
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.fuse\.(.+)", key):
        return f"fuse_block{int(match[1]) + 1}.fuse.{match[2]}"
    if match := re.fullmatch(r"decoder\.projections\.(\d)\.(.+)", key):
        return f"deocder_block{int(match[1]) + 1}.fuse.{match[2]}"
    return substitute(key, _STEPWISE)


def _mf_mamba_key(key: str) -> str:
    if key.startswith("backbone."):
        return "encoder." + vmamba_key(key.removeprefix("backbone."))
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.joint\.(conv|norm|mlp)\.(.+)", key):
        return f"decoder.fusion{int(match[1]) + 1}.{dict(conv='conv', norm='bn', mlp='fc')[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.fuse\.(.+)", key):
        return f"decoder.fuse{int(match[1]) + 1}.{match[2]}"
    if match := re.fullmatch(r"decoder\.projections\.(\d)\.(\w+)", key):
        return f"decoder.conv{int(match[1]) + 1}.{match[2]}"
    return substitute(key, (("decoder.coarsest.", "decoder.conv4."), *((o, f"decoder.{t}") for o, t in _STEPWISE)))


register_family(Family(("mambabcd*",), _mambabcd_key, "ChenHongruixuan/MambaCD"))
register_family(Family(("rsm_cd*",), _rsm_key, "walking-shadow/Official_Remote_Sensing_Mamba"))
register_family(Family(("mf*vmamba*",), _mf_mamba_key, "121zzy/MF-Mamba"))
