"""Model folders: `config.json`, `model.safetensors`, and optionally results, a picture and a model card."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cdzoo.components import Backbone
from cdzoo.config import ROLES, ModelCfg
from cdzoo.errors import ConfigError, InputError
from cdzoo.imports import import_kept, imported_modules, keep_imports
from cdzoo.io.files import replace_atomically, write_text
from cdzoo.registry import COMPONENTS, underlying
from cdzoo.tasks import get_task
from cdzoo.weights.state import adapt_first_layer, check_state, read_tensors, write_tensors

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
RESULTS_FILE = "results.json"
PICTURE_FILE = "example.png"

_MAX_CONFIG_BYTES = 1 << 20
# Options of timm encoders that open or download files, which an untrusted config must not set.
_FILE_OPTIONS = frozenset(("checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "pretrained_strict"))


@dataclass(frozen=True)
class ModelFiles:
    """Config and weights file of a saved model.

    Attributes:
        config: Description of the model.
        weights: Path of the weights file.
        sha256: Expected hash of the weights file; None if unknown.
    """

    config: ModelCfg
    weights: Path
    sha256: str | None = None


def write_folder(
    folder: str | os.PathLike[str],
    config: ModelCfg,
    state: Mapping[str, Tensor],
    results: str | os.PathLike[str] | None = None,
    picture: str | os.PathLike[str] | None = None,
) -> Path:
    """Write a model folder. Each file is written atomically, the weights first.

    Args:
        folder: Path of the folder; created if it does not exist.
        config: Description of the model.
        state: State dict of the model.
        results: `results.json` of a training run or an evaluation to copy.
        picture: Image to copy.

    Raises:
        ConfigError: A component was passed as an instance and cannot be saved.
        InputError: The results or the picture do not exist.
    """
    text = config.to_json()
    for extra in (results, picture):
        if extra is not None and not os.path.isfile(extra):
            raise InputError(f"{extra}: no such file")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if _defining_modules(config) & imported_modules():
        keep_imports(folder)
    write_tensors(folder / WEIGHTS_FILE, state)
    write_text(folder / CONFIG_FILE, text)
    for extra, name in ((results, RESULTS_FILE), (picture, PICTURE_FILE)):
        if extra is not None and Path(extra).resolve() != (folder / name).resolve():
            with replace_atomically(folder / name) as temporary:
                shutil.copyfile(extra, temporary)
    return folder


def read_folder(folder: Path) -> ModelFiles:
    """Read a model folder, and import the code that it keeps (`cdzoo.imports`).

    Raises:
        InputError: The folder or one of its files does not exist, or its code is not trusted.
        ConfigError: The config is invalid.
    """
    if not os.path.isdir(folder):
        raise InputError(f"local-dir:{folder}: no such folder; cdzoo train --out {folder} writes one")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise InputError(f"local-dir:{folder}: the folder has no {name}; cdzoo train and save_pretrained write one")
    import_kept(folder)
    return ModelFiles(read_config(folder / CONFIG_FILE), folder / WEIGHTS_FILE)


def read_config(file: Path) -> ModelCfg:
    """Read a model config from an untrusted source.

    Raises:
        ConfigError: The config is invalid, or makes a backbone open or download files.
    """
    if file.stat().st_size > _MAX_CONFIG_BYTES:
        raise ConfigError(f"{file}: {file.stat().st_size} bytes is too large for a model config")
    try:
        config = ModelCfg.from_json(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: the model config is not text: {error}") from error
    if options := _FILE_OPTIONS & config.backbone.kwargs.keys():
        raise ConfigError(
            f"{file}: the arguments {', '.join(sorted(options))} of the backbone open or download files, which is not allowed"
        )
    return config


def load_backbone(backbones: Sequence[Backbone], name: str, source: str | os.PathLike[str]) -> None:
    """Load weights written by `cdzoo convert --backbone` into one or more backbones.

    If a backbone has another number of bands, its first layer is adapted, and a warning is issued. Parameters that a backbone
    adds to its encoder (`Backbone.added`) keep their values if the file does not contain them.

    Args:
        backbones: Modules that receive the weights.
        name: Name of the backbone, for messages.
        source: Folder or safetensors file.

    Raises:
        InputError: The file does not exist.
        WeightsError: The weights do not match; the modules are unchanged.
    """
    path = Path(source)
    file = path / WEIGHTS_FILE if os.path.isdir(path) else path
    if not os.path.isfile(file):
        raise InputError(
            f"backbone_weights={source}: no such file; cdzoo convert --backbone NAME checkpoint.pth FOLDER writes one"
        )
    state = read_tensors(file)
    fitted = []
    for backbone in backbones:
        expected = backbone.state_dict()
        own = {key: value for key, value in expected.items() if key.startswith(backbone.added) and key not in state}
        fitted.append(adapt_first_layer({**state, **own}, expected, str(file)))
        check_state(str(file), fitted[-1], expected, f"backbone {name}")
    for backbone, weights in zip(backbones, fitted, strict=True):
        backbone.load_state_dict(weights, strict=True)


def _defining_modules(config: ModelCfg) -> set[str]:
    """Return the modules of the task and of the registered components of a model."""
    named = [(COMPONENTS[kind], getattr(config, role)) for role, kind in ROLES.items()]
    entries: list[Any] = [known.get(cfg.name) for known, cfg in named if cfg is not None and cfg.name in known]
    return {underlying(entry).__module__ for entry in (*entries, type(get_task(config.task, config.class_names)))}
