"""Which registered models are one architecture, and which of them are presets of it for a data set."""

from __future__ import annotations

from cdzoo.config import ModelCfg
from cdzoo.registry import MODELS


def architecture(config: ModelCfg) -> str:
    """Return a text that two models share when they are made of the same parts for the same bands and classes."""
    parts = [config.backbone, config.neck, config.fusion, config.decoder, config.head, config.bands, config.num_classes]
    return repr([*parts, config.siamese])


def list_architectures() -> dict[str, list[str]]:
    """Return one model of each architecture, the one registered first, to the other names of it (presets of data sets)."""
    first: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    for name in MODELS.registered():
        leader = first.setdefault(architecture(MODELS.get(name)()), name)
        found.setdefault(leader, [])
        if name != leader:
            found[leader].append(name)
    return found
