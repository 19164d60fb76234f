"""Folders with a model in them: `config.json` and `model.safetensors`, on disk or on the Hugging Face Hub."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from cdzoo.config import ModelCfg
from cdzoo.errors import ConfigError, InputError
from cdzoo.files import replace_atomically, write_text
from cdzoo.models.detector import ChangeDetector
from cdzoo.weights.loading import load_weights, read_tensors

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
RESULTS_FILE = "results.json"
PICTURE_FILE = "example.png"

_MOST_CONFIG_BYTES = 1 << 20
# What timm's encoders would open or fetch by themselves: a config from elsewhere must not decide that.
_FILE_OPTIONS = frozenset(("checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "pretrained_strict"))


def save_pretrained(
    model: ChangeDetector,
    folder: str | os.PathLike[str],
    results: str | os.PathLike[str] | None = None,
    picture: str | os.PathLike[str] | None = None,
    card: bool = False,
) -> Path:
    """Write `model` to a folder that `create_model("local-dir:FOLDER")` reads.

    Each file is written under a temporary name and renamed, the weights first, so that a folder never holds half a file.

    Args:
        model: The model.
        folder: Where to.
        results: `results.json` of a training or evaluation, to go with the weights.
        picture: Image to go with them.
        card: Write a model card (README.md) from the config and the results.

    Raises:
        ConfigError: The model has parts that were given as instances and cannot be rebuilt from a file.
        InputError: The results or the picture do not exist.
    """
    from cdzoo.weights.card import model_card

    text = model.config.to_json()
    for extra in (results, picture):
        if extra is not None and not Path(extra).is_file():
            raise InputError(f"{extra}: no such file, so it cannot go with the weights")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / WEIGHTS_FILE, model.state_dict())
    write_text(folder / CONFIG_FILE, text)
    for extra, name in ((results, RESULTS_FILE), (picture, PICTURE_FILE)):
        if extra is not None and Path(extra).resolve() != (folder / name).resolve():
            with replace_atomically(folder / name) as temporary:
                shutil.copyfile(extra, temporary)
    if card:
        write_text(folder / CARD_FILE, model_card(model, folder))
    return folder


def write_tensors(file: Path, state: Mapping[str, Tensor], **metadata: str) -> None:
    """Write tensors as safetensors, complete or not at all."""
    from safetensors.torch import save

    plain = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with replace_atomically(file) as temporary:
        # Not save_file, whose files only their owner can read.
        temporary.write_bytes(save(plain, metadata={"format": "pt", **metadata}))


def load_pretrained(scheme: str, source: str, overrides: Mapping[str, Any]) -> ChangeDetector:
    """Build the model of a folder and load its weights, all of them.

    With `in_chans` or `num_classes` among the overrides, the first or the last layer is adapted, see `load_weights`.

    Args:
        scheme: `"local-dir"` or `"hf-hub"`.
        source: Path of the folder, or `owner/name[@revision]`.
        overrides: As for `create_model`; the weights must still fit.

    Raises:
        InputError: The folder or one of its files does not exist.
        ConfigError: The config describes no model, or tells a backbone to open files.
        WeightsError: The weights do not fit the model, or the Hub does not give them.
    """
    from cdzoo.factory import build  # imports this module

    if scheme == "local-dir":
        config_file, weights_file, sha256 = *_local(Path(source)), None
    else:
        from cdzoo.hub import download, split_source, stored_sha256  # imports the client

        config_file = download(source, CONFIG_FILE)
        # A branch may move between two requests; the commit, which the cache's folder is named by, does not.
        weights_file = download(f"{split_source(source)[0]}@{config_file.parent.name}", WEIGHTS_FILE)
        sha256 = stored_sha256(weights_file)
    config = read_config(config_file)
    if config.backbone.kwargs.get("pretrained"):
        # The checkpoint holds the backbone's weights too: nothing has to be downloaded for them.
        overrides = {**overrides, "backbone_kwargs": {"pretrained": False, **(overrides.get("backbone_kwargs") or {})}}
    model = build(config, overrides)
    load_weights(
        model, weights_file, sha256=sha256, adapt_bands="in_chans" in overrides, adapt_classes="num_classes" in overrides
    )
    return model


def read_config(file: Path) -> ModelCfg:
    """Read the config of a model that somebody else may have written.

    Raises:
        ConfigError: It describes no model, or tells a backbone to open or fetch files.
    """
    if file.stat().st_size > _MOST_CONFIG_BYTES:
        raise ConfigError(f"{file}: {file.stat().st_size} bytes are no model config, which has a few thousand")
    try:
        config = ModelCfg.from_json(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: the model config is no text: {error}") from error
    if opening := _FILE_OPTIONS & config.backbone.kwargs.keys():
        raise ConfigError(
            f"{file}: the backbone's {', '.join(sorted(opening))} would open or fetch files, which a model's config may not do"
        )
    return config


def load_backbone(model: ChangeDetector, source: str | os.PathLike[str]) -> None:
    """Load weights into the backbone alone (both, if there are two): what `cdzoo convert --backbone` wrote.

    Raises:
        InputError: The file does not exist.
        WeightsError: It does not fit; the model is then as it was.
    """
    path = Path(source)
    file = path / WEIGHTS_FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"backbone_weights={source}: no such file; cdzoo convert --backbone NAME checkpoint.pth FOLDER writes one"
        )
    from cdzoo.convert.official import compare  # imports the models

    state = read_tensors(file)
    expected = {key: tuple(value.shape) for key, value in model.backbone.state_dict().items()}
    compare(str(file), state, expected, f"backbone {model.config.backbone.name}")
    for backbone in (model.backbone, model.backbone2):
        if backbone is not None:
            backbone.load_state_dict(state, strict=True)


def _local(folder: Path) -> tuple[Path, Path]:
    if not folder.is_dir():
        raise InputError(f"local-dir:{folder}: no such folder; cdzoo train --out {folder} makes one")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise InputError(f"local-dir:{folder}: the folder has no {name}; cdzoo train and save_pretrained write one")
    return folder / CONFIG_FILE, folder / WEIGHTS_FILE
