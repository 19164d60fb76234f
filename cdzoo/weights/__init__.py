"""Weights: published weights, model folders, the Hugging Face Hub, and strict loading."""

from cdzoo.weights.folder import CONFIG_FILE, WEIGHTS_FILE, read_folder, write_folder
from cdzoo.weights.pretrained import PretrainedCfg, get_pretrained, list_pretrained, register_pretrained
from cdzoo.weights.state import LoadReport, load_weights

__all__ = [
    "CONFIG_FILE",
    "WEIGHTS_FILE",
    "LoadReport",
    "PretrainedCfg",
    "get_pretrained",
    "list_pretrained",
    "load_weights",
    "read_folder",
    "register_pretrained",
    "write_folder",
]
