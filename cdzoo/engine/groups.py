"""Groups of parameters with learning rates of their own: the backbone, and each of its layers."""

from __future__ import annotations

import re
from typing import Any

from cdzoo.components import Backbone
from cdzoo.engine.config import TrainCfg
from cdzoo.models.detector import ChangeDetector

# Up to the first number, with a second one that follows it or the word for blocks: `layer1.0`, `stages.2.blocks.17`, `blocks.3`.
_LAYER = re.compile(r"(?:[a-zA-Z_]+\.)*[a-zA-Z_]*\d+(?:\.\d+)?(?:\.(?:blocks|layers)\.\d+)?\.")


def layer_depths(encoder: Backbone) -> dict[str, int]:
    """Return the layer of each parameter of a backbone, counted from 0 in the order in which they are registered.

    Layers are numbered modules with matrices or kernels, such as blocks. Other parameters, such as embeddings and numbered norms,
    belong to the layer before them.
    """
    layers = {name: match[0] for name, _ in encoder.named_parameters() if (match := _LAYER.match(name))}
    counted = {layers[name] for name, parameter in encoder.named_parameters() if name in layers and parameter.ndim > 1}
    depths: dict[str, int] = {}
    depth, last = 0, ""
    for name, _ in encoder.named_parameters():
        layer = layers.get(name, "")
        if layer in counted and layer != last:
            depth, last = depth + 1, layer
        depths[name] = depth
    return depths


def learning_rate_scales(model: ChangeDetector, cfg: TrainCfg) -> dict[int, float]:
    """Return the factor of the learning rate of each parameter of the backbones, by its `id`.

    The last layer has that of the backbone, each other one `cfg.layer_decay` times that of the next. What a backbone adds to its
    encoder (`Backbone.added`) is left out, as it is trained like the other components.
    """
    rate = (cfg.lr_backbone or cfg.lr) / cfg.lr
    scales = {}
    for encoder in model.encoders:
        depths = {name: depth for name, depth in layer_depths(encoder).items() if not is_added(encoder, name)}
        last = max(depths.values())
        parameters = dict(encoder.named_parameters())
        scales.update({id(parameters[name]): rate * cfg.layer_decay ** (last - depth) for name, depth in depths.items()})
    return scales


def is_added(encoder: Backbone, name: str) -> bool:
    """Return whether a backbone adds this parameter to its encoder."""
    return name.startswith(encoder.added)


def parameter_groups(model: ChangeDetector, cfg: TrainCfg) -> list[dict[str, Any]]:
    """Return the groups of timm, each split into parameters of one learning rate."""
    from timm.optim import param_groups_weight_decay

    exempt = () if cfg.decay_all else model.no_weight_decay()
    scales = learning_rate_scales(model, cfg)
    groups = []
    for group in param_groups_weight_decay(model, cfg.weight_decay, not cfg.decay_all, exempt):
        by_scale: dict[float, list[Any]] = {}
        for parameter in group["params"]:
            by_scale.setdefault(scales.get(id(parameter), 1.0), []).append(parameter)
        groups += [{**group, "params": chosen, "lr": cfg.lr * scale, "lr_scale": scale} for scale, chosen in by_scale.items()]
    return groups
