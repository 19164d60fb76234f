"""Weights: what is published, folders and repositories that hold them, and loading them strictly."""

from cdzoo.weights.folder import CONFIG_FILE, WEIGHTS_FILE, load_pretrained, save_pretrained
from cdzoo.weights.loading import LoadReport, load_weights
from cdzoo.weights.published import bundled_folder
from cdzoo.weights.registry import PretrainedCfg, get_pretrained, list_pretrained, register_pretrained

__all__ = [
    "CONFIG_FILE",
    "WEIGHTS_FILE",
    "LoadReport",
    "PretrainedCfg",
    "bundled_folder",
    "get_pretrained",
    "list_pretrained",
    "load_pretrained",
    "load_weights",
    "register_pretrained",
    "save_pretrained",
]
