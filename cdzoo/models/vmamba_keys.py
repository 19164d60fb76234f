"""Parameter names of VMamba and of components shared by the networks built on it."""

from __future__ import annotations

import re
from collections.abc import Callable

from cdzoo.weights.keys import substitute

BLOCK = (
    ("in_proj.", "op.in_proj."),
    ("conv.", "op.conv2d."),
    ("ss2d.", "op."),
    ("out_norm.", "op.out_norm."),
    ("out_proj.", "op.out_proj."),
)
# Names in newer code of ChangeMamba, which counts from the coarsest level, and in its first code.
_ARRANGEMENTS = {"cat": 1, "interleave": 2, "split": 3}
_SEMANTIC = r"^(decoder_(?:T1|T2|building))"
_GENERATIONS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (rf"{_SEMANTIC}\.stage_blocks\.(\d)\.", lambda m: f"{m[1]}.st_block_{4 - int(m[2])}_semantic."),
    (rf"{_SEMANTIC}\.transition_layers\.(\d)\.", lambda m: f"{m[1]}.trans_layer_{3 - int(m[2])}."),
    (rf"{_SEMANTIC}\.smooth_layers\.(\d)\.", lambda m: f"{m[1]}.smooth_layer_{3 - int(m[2])}_semantic."),
    (r"\.stage_blocks\.(\d)\.(cat|interleave|split)\.", lambda m: f".st_block_{4 - int(m[1])}{_ARRANGEMENTS[m[2]]}."),
    (r"\.fuse_layers\.(\d)\.", lambda m: f".fuse_layer_{4 - int(m[1])}."),
    (r"\.smooth_layers\.(\d)\.", lambda m: f".smooth_layer_{3 - int(m[1])}."),
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


def first_generation(key: str) -> str:
    """Return the name of a parameter of ChangeMamba in the first generation of its code (2024).

    Decoders have `.stage_blocks.` in the second generation (2026) where they have `.st_block_` in the first. Names of the first
    generation, of the encoder and of heads are returned unchanged, except that a prefix `model.` of a wrapper is removed.
    """
    key = key.removeprefix("model.")
    for pattern, rename in _GENERATIONS:
        key = re.sub(pattern, rename, key)
    return key


_SECOND: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"\.st_block_(\d)_semantic\.", lambda m: f".stage_blocks.{4 - int(m[1])}."),
    (r"\.trans_layer_(\d)\.", lambda m: f".transition_layers.{3 - int(m[1])}."),
    (r"\.smooth_layer_(\d)_semantic\.", lambda m: f".smooth_layers.{3 - int(m[1])}."),
    (r"\.st_block_(\d)([123])\.", lambda m: f".stage_blocks.{4 - int(m[1])}.{list(_ARRANGEMENTS)[int(m[2]) - 1]}."),
    (r"\.fuse_layer_(\d)\.", lambda m: f".fuse_layers.{4 - int(m[1])}."),
    (r"\.smooth_layer_(\d)\.", lambda m: f".smooth_layers.{3 - int(m[1])}."),
)


def second_generation(key: str) -> str:
    """Return the name of a parameter of ChangeMamba in the second generation of its code (2026); see `first_generation`."""
    key = key.removeprefix("model.")
    for pattern, rename in _SECOND:
        key = re.sub(pattern, rename, key)
    return key


def change_decoder_key(key: str, prefix: str) -> str | None:
    """Return the name, in the first generation, of a parameter of the fusion `spatio_temporal` or the decoder `top_down`.

    Args:
        key: Name of the parameter in cdzoo.
        prefix: Name of the change decoder.

    Returns:
        The name; None if the parameter belongs to another component. Levels and arrangements are counted from 1.
    """
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.arrangements\.(\d)\.(project|scan)\.(.+)", key):
        block = f"{prefix}.st_block_{int(match[1]) + 1}{int(match[2]) + 1}"
        return f"{block}.0.{match[4]}" if match[3] == "project" else f"{block}.2.{substitute(match[4], BLOCK)}"
    if match := re.fullmatch(r"fusion\.levels\.(\d)\.fuse\.(.+)", key):
        return f"{prefix}.fuse_layer_{int(match[1]) + 1}.{match[2]}"
    if match := re.fullmatch(r"decoder\.smooth\.(\d)\.(.+)", key):
        return f"{prefix}.smooth_layer_{int(match[1]) + 1}.{match[2]}"
    return None


def semantic_decoder_key(key: str, prefix: str) -> str:
    """Return the name, in the first generation, of a parameter of the decoder `semantic` (`key`) as the decoder `prefix`."""
    name, _, rest = key.partition(".")
    if name == "project":
        return f"{prefix}.st_block_4_semantic.0.{rest}"
    if name == "refine":
        return f"{prefix}.smooth_layer_0_semantic.{rest}"
    level, _, rest = rest.partition(".")
    number = int(level) + 1
    if name == "scans":
        return f"{prefix}.st_block_{number}_semantic.{2 if number == 4 else 1}.{substitute(rest, BLOCK)}"
    kind = {"transitions": f"trans_layer_{number}", "smooth": f"smooth_layer_{number}_semantic"}[name]
    return f"{prefix}.{kind}.{rest}"
