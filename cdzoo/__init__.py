"""cdzoo: interchangeable parts and models for remote-sensing change detection.

`create_model` builds a model from its name; `list_models` and `list_components` say what there is; `register_*` adds to it.
Everything is imported on first use, so that `import cdzoo` and `cdzoo --help` are fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "ChangeDetector": "cdzoo.models.detector",
    "ModelCfg": "cdzoo.config",
    "PartCfg": "cdzoo.config",
    "Registry": "cdzoo.registry",
    "create_model": "cdzoo.factory",
    "list_components": "cdzoo.registry",
    "list_models": "cdzoo.factory",
    "list_pretrained": "cdzoo.weights.registry",
    "load_weights": "cdzoo.weights.loading",
    "predict_pair": "cdzoo.engine.predict",
    "predict_scene": "cdzoo.scenes",
    "register_backbone": "cdzoo.registry",
    "register_decoder": "cdzoo.registry",
    "register_fusion": "cdzoo.registry",
    "register_head": "cdzoo.registry",
    "register_model": "cdzoo.registry",
    "register_neck": "cdzoo.registry",
    "save_pretrained": "cdzoo.weights.folder",
}

if TYPE_CHECKING:
    from cdzoo.config import ModelCfg as ModelCfg
    from cdzoo.config import PartCfg as PartCfg
    from cdzoo.engine.predict import predict_pair as predict_pair
    from cdzoo.factory import create_model as create_model
    from cdzoo.factory import list_models as list_models
    from cdzoo.models.detector import ChangeDetector as ChangeDetector
    from cdzoo.registry import Registry as Registry
    from cdzoo.registry import list_components as list_components
    from cdzoo.registry import register_backbone as register_backbone
    from cdzoo.registry import register_decoder as register_decoder
    from cdzoo.registry import register_fusion as register_fusion
    from cdzoo.registry import register_head as register_head
    from cdzoo.registry import register_model as register_model
    from cdzoo.registry import register_neck as register_neck
    from cdzoo.scenes import predict_scene as predict_scene
    from cdzoo.weights.folder import save_pretrained as save_pretrained
    from cdzoo.weights.loading import load_weights as load_weights
    from cdzoo.weights.registry import list_pretrained as list_pretrained

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cdzoo' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
