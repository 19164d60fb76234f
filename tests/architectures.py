"""Registered architectures, and weights for them that are the same on every machine."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cdzoo.factory import list_architectures
from cdzoo.models.detector import ChangeDetector
from cdzoo.registry import MODELS

OF_ONE_WIDTH = ("cgnet_vgg16_bn", "stanet_resnet18", "timm/vgg16", "timm/resnet18")
ONE_LEVEL_HEADS = ("conv", "deconv", "distance", "fcn", "pixel_mlp", "stepwise")
MERGING = ("unet", "concat_up", "mask_up", "msd_unet", "nested_unet", "attention_unet", "decode_cells", "supervised_attention")
"""Decoders that merge levels, and so need several."""

_SIZES = ("_small", "_base", "_large", "_oscd", "ecam32", "ecam48", "_b", "_l", "_s50", "_mit_b1", "_s4", "_dd8")


def architectures() -> list[str]:
    """Return one model for each distinct set of components, the first registered one; aliases of data sets are left out."""
    return sorted(list_architectures())


def families() -> list[str]:
    """Return one architecture for each set of components; larger sizes repeat the blocks of others."""
    return [name for name in architectures() if not name.endswith(_SIZES)]


def affordable(name: str) -> dict[str, Any]:
    """Return options of `create_model` that make a network small if a step of the published size takes many seconds."""
    return shrunk(name) if name.startswith(("btc", "changevit")) else {}


def tensors(output: Any) -> list[Tensor]:
    """Return the outputs of a model: one tensor, or those of a dict."""
    return list(output.values()) if isinstance(output, dict) else [output]


def fill(model: ChangeDetector) -> ChangeDetector:
    """Overwrite every weight with numbers derived from its name."""
    for key, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(tuple(value.shape), np.float32)
        if key.endswith("running_var"):
            noise = 1 + 0.1 * np.abs(noise)
        elif key.endswith("weight") and value.ndim == 1:
            noise = 1 + 0.1 * noise
        elif value.ndim > 1:
            noise = noise / np.sqrt(np.prod(value.shape[1:]), dtype=np.float32)
        else:
            noise = 0.1 * noise
        value.copy_(torch.from_numpy(np.asarray(noise, np.float32)))
    return model


def images(height: int, width: int, bands: int = 3, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Return two dates (batch, bands, height, width) of noise that is the same on every machine."""
    rng = np.random.default_rng(7)
    t1, t2 = (torch.from_numpy(rng.standard_normal((batch, bands, height, width), np.float32)) for _ in range(2))
    return t1, t2


def accepted_size(model: ChangeDetector, height: int, width: int) -> tuple[int, int]:
    """Return the size, or the nearest square that a model takes if it does not take this one."""
    if not model.input_sizes.problem(height, width):
        return height, width
    side = model.fixed_input_size or -(-max(height, width) // model.size_multiple) * model.size_multiple
    return side, side


def shrunk(name: str) -> dict[str, Any]:
    """Return options of `create_model` that keep the components of a model but make the wide ones small.

    Encoders of one width are replaced.
    """
    config = MODELS.get(name)()
    blocks = {"channels": 8, "depths": [1, 1, 1, 1]}
    overrides: dict[str, Any] = {}
    backbone = config.backbone.name
    if backbone == "vss":
        overrides["backbone_kwargs"] = {**blocks, "d_state": 2}
    elif backbone.startswith("vmamba"):
        overrides["backbone"] = ("vmamba", {**config.backbone.kwargs, **blocks})
    elif backbone == "changeformer" or backbone.startswith("mit"):
        kwargs = {**config.backbone.kwargs, "channels": [4, 8, 12, 16], "depths": [1, 1, 1, 1], "heads": [1, 2, 3, 4]}
        overrides["backbone"] = (backbone.split("_")[0], kwargs)
        overrides["neck_kwargs"] = {"channels": 8}
    elif backbone == "changevit":
        overrides["backbone_kwargs"] = {"channels": 12, "depth": 2, "heads": 2, "img_size": 64}
    elif backbone == "hanet":
        overrides["backbone_kwargs"] = {"channels": [4, 8, 12, 16], "img_size": None}
    elif backbone == "cdmamba":
        overrides["backbone_kwargs"] = {"channels": 4, "depths": [1, 1, 1, 1]}
    elif backbone == "elgcnet":
        overrides["backbone_kwargs"] = {"channels": [4, 8, 12, 16], "depths": [1, 1, 1, 1]}
        overrides["neck_kwargs"] = {"channels": 8}
    elif backbone == "swin":
        overrides["backbone_kwargs"] = {**blocks, "heads": [1, 2, 4, 8], "window": 3}
    elif backbone in OF_ONE_WIDTH:
        overrides["backbone"] = ("unet", {"channels": [4, 8, 8], "depths": [1, 1, 1]})
    if config.decoder is not None and config.decoder.name == "upernet":
        overrides["decoder_kwargs"] = {"channels": 8}
    if config.fusion.name == "spatio_temporal":
        overrides["fusion_kwargs"] = {"width": 8}
    return overrides
