"""Parameter names of VMamba and of components shared by the networks built on it."""

from __future__ import annotations

import re

from cdzoo.weights.keys import KeyMap, substitute

BLOCK = (
    ("in_proj.", "op.in_proj."),
    ("conv.", "op.conv2d."),
    ("ss2d.", "op."),
    ("out_norm.", "op.out_norm."),
    ("out_proj.", "op.out_proj."),
)
_ARRANGEMENTS = {1: "cat", 2: "interleave", 3: "split"}
# Parts of names in the first generation of ChangeMamba's code, and in the second one, which counts from the coarsest level.
_CHANGE = (
    *((f".st_block_{4 - i}{j}.", f".stage_blocks.{i}.{name}.") for i in range(4) for j, name in _ARRANGEMENTS.items()),
    *((f".fuse_layer_{4 - i}.", f".fuse_layers.{i}.") for i in range(4)),
    *((f".smooth_layer_{3 - i}.", f".smooth_layers.{i}.") for i in range(3)),
)
_SEMANTIC = (
    *((f".st_block_{4 - i}_semantic.", f".stage_blocks.{i}.") for i in range(4)),
    *((f".trans_layer_{3 - i}.", f".transition_layers.{i}.") for i in range(3)),
    *((f".smooth_layer_{3 - i}_semantic.", f".smooth_layers.{i}.") for i in range(4)),
)
_SEMANTIC_DECODERS = ("decoder_T1.", "decoder_T2.", "decoder_building.")
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


VMAMBA = KeyMap((), vmamba_key, "MzeroMiko/VMamba", ignored=("classifier.*",))


def first_generation(key: str) -> str:
    """Return the name of a parameter of ChangeMamba in the first generation of its code (2024).

    Decoders have `.stage_blocks.` in the second generation (2026) where they have `.st_block_` in the first. Names of the first
    generation, of the encoder and of heads are returned unchanged, except that a prefix `model.` of a wrapper is removed.
    """
    return _renamed(key, 1, 0)


def second_generation(key: str) -> str:
    """Return the name of a parameter of ChangeMamba in the second generation of its code (2026); see `first_generation`."""
    return _renamed(key, 0, 1)


def _renamed(key: str, known: int, wanted: int) -> str:
    key = key.removeprefix("model.")
    for names in _SEMANTIC if key.startswith(_SEMANTIC_DECODERS) else _CHANGE:
        key = key.replace(names[known], names[wanted])
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
