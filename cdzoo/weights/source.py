"""Files of a saved model, in a folder or in a repository on the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cdzoo.errors import ConfigError
from cdzoo.weights.folder import CONFIG_FILE, WEIGHTS_FILE, ModelFiles, read_config, read_folder

SCHEMES = ("local-dir", "hf-hub")


def parse_name(name: str) -> tuple[str, str]:
    """Split `scheme:source` into scheme and source; the scheme is empty for the name of a registered model.

    Raises:
        ConfigError: The scheme is unknown, or the name is a path or repository without a scheme.
    """
    if not isinstance(name, str):
        raise ConfigError(f"a model is named by a text, got {type(name).__name__}")
    # At least two letters, so that a Windows drive is not a scheme.
    match = re.fullmatch(r"([a-z][a-z0-9\-]+):(.*)", name, re.DOTALL)
    if match:
        if match[1] not in SCHEMES:
            raise ConfigError(f"unknown scheme '{match[1]}:' in '{name}'; use local-dir:PATH or hf-hub:owner/name")
        return match[1], match[2]
    if "/" in name or "\\" in name:
        raise ConfigError(f"'{name}' is not a model name; did you mean 'local-dir:{name}' or 'hf-hub:{name}'?")
    return "", name


def find_files(
    source: str | os.PathLike[str], revision: str | None = None, cache_dir: str | os.PathLike[str] | None = None
) -> ModelFiles:
    """Return the config and the weights file of a saved model; files on the Hub are downloaded.

    Args:
        source: `local-dir:PATH`, `hf-hub:owner/name[@revision]`, an existing folder, or `owner/name` on the Hub.
        revision: Branch, tag or commit on the Hub.
        cache_dir: Cache folder of downloads; that of `huggingface_hub` by default.

    Raises:
        InputError: The folder or one of its files does not exist.
        ConfigError: The config is invalid.
        WeightsError: The files cannot be downloaded.
    """
    text = os.fspath(source)
    scheme, location = ("local-dir", text) if os.path.isdir(text) else parse_name(text if ":" in text else f"hf-hub:{text}")
    if scheme == "local-dir":
        return read_folder(Path(location))
    from cdzoo.weights.hub import download, split_source, stored_sha256

    repo, stated = split_source(location)
    if revision and stated and revision != stated:
        raise ConfigError(f"hf-hub:{location} and revision={revision} name different revisions; name one of them")
    wanted = f"{repo}@{revision or stated}" if revision or stated else repo
    config_file = download(wanted, CONFIG_FILE, cache_dir=cache_dir)
    # A branch may move between two requests; the commit, which names the cache folder, does not.
    weights = download(f"{repo}@{config_file.parent.name}", WEIGHTS_FILE, cache_dir=cache_dir)
    return ModelFiles(read_config(config_file), weights, stored_sha256(weights))
