"""Folders with a model in them: `config.json` and `model.safetensors`, on disk or on the Hugging Face Hub."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cdzoo.config import ModelCfg
from cdzoo.errors import InputError, WeightsError
from cdzoo.files import replace_atomically
from cdzoo.models.detector import ChangeDetector

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


def save_pretrained(model: ChangeDetector, folder: str | os.PathLike[str]) -> Path:
    """Write `model` to a folder that `create_model("local-dir:FOLDER")` reads.

    Each file is written under a temporary name and renamed, the weights first, so that a folder never holds half a file.

    Raises:
        ConfigError: The model has parts that were given as instances and cannot be rebuilt from a file.
    """
    from safetensors.torch import save

    text = model.config.to_json()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with replace_atomically(folder / WEIGHTS_FILE) as temporary:
        # Not save_file, whose files only their owner can read.
        temporary.write_bytes(save(state, metadata={"format": "pt"}))
    with replace_atomically(folder / CONFIG_FILE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder


def load_pretrained(scheme: str, source: str, overrides: Mapping[str, Any]) -> ChangeDetector:
    """Build the model of a folder and load its weights, all of them.

    Args:
        scheme: `"local-dir"` or `"hf-hub"`.
        source: Path of the folder, or `owner/name[@revision]`.
        overrides: As for `create_model`; the weights must still fit.

    Raises:
        InputError: The folder or one of its files does not exist.
        WeightsError: The weights do not fit the model, or the Hub does not give them.
    """
    from cdzoo.factory import build  # imports this module

    config_file, weights_file = _local(Path(source)) if scheme == "local-dir" else _fetched(source)
    config = ModelCfg.from_json(config_file.read_text(encoding="utf-8"))
    kwargs = config.backbone.kwargs
    if kwargs.get("pretrained"):
        # The checkpoint holds the backbone's weights too: nothing has to be downloaded for them.
        overrides = {**overrides, "backbone_kwargs": {"pretrained": False, **(overrides.get("backbone_kwargs") or {})}}
    model = build(config, overrides)
    load_weights(model, weights_file)
    return model


def load_weights(model: ChangeDetector, file: Path) -> None:
    """Load a safetensors file into `model`, strictly.

    Raises:
        WeightsError: The file is damaged, or a key is missing, unexpected or of another shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(file)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{file} is no readable safetensors file: {error}") from error
    expected = model.state_dict()
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    reshaped = [
        f"{key} {tuple(state[key].shape)} for {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & state.keys())
        if state[key].shape != expected[key].shape
    ]
    if missing or unexpected or reshaped:
        matched = len(expected.keys() & state.keys()) - len(reshaped)
        details = [
            f"{len(keys)} {label} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
            for label, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
            if keys
        ]
        raise WeightsError(f"{file} does not fit model '{model.config.name}': {matched} keys match, {'; '.join(details)}")
    model.load_state_dict(state, strict=True)


def _local(folder: Path) -> tuple[Path, Path]:
    if not folder.is_dir():
        raise InputError(f"local-dir:{folder}: no such folder; cdzoo train --out {folder} makes one")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise InputError(f"local-dir:{folder}: the folder has no {name}; cdzoo train and save_pretrained write one")
    return folder / CONFIG_FILE, folder / WEIGHTS_FILE


def download(source: str, file: str) -> Path:
    """Fetch one file of `owner/name[@revision]` from the Hub, or from its cache.

    Raises:
        WeightsError: The Hub does not give it.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repo, _, revision = source.partition("@")
    try:
        return Path(hf_hub_download(repo, file, revision=revision or None))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise WeightsError(f"hf-hub:{source} could not be downloaded: {error}") from error


def _fetched(source: str) -> tuple[Path, Path]:
    return download(source, CONFIG_FILE), download(source, WEIGHTS_FILE)
