"""Download from and upload to the Hugging Face Hub.

All requests go through `huggingface_hub`, so `HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN`, `HF_HUB_OFFLINE` and `hf auth login` apply.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cdzoo.errors import InputError, WeightsError, mask_urls
from cdzoo.io.files import check_new_folder, check_sha256
from cdzoo.io.hub_client import watched
from cdzoo.io.network import LEAST, PATIENCE, StalledError
from cdzoo.weights.folder import CARD_FILE, CONFIG_FILE, PICTURE_FILE, RESULTS_FILE, WEIGHTS_FILE
from cdzoo.weights.state import read_tensors

FILES = (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE, RESULTS_FILE, PICTURE_FILE)
"""Files of a model on the Hub; other files are neither uploaded nor downloaded."""
_REVISION = re.compile(r"(?!.*(\.\.|@\{|\.lock(/|$)))(?=.{1,200}$)[\w+#@=-][\w.+#@=-]*(/[\w+#@=-][\w.+#@=-]*)*")
"""Names of branches and tags that git accepts, without special characters: the client stores them as paths."""
TRIES = 4
FIRST_WAIT = 0.5
"""Seconds before the first retry; doubled for each further one."""

T = TypeVar("T")


def download(source: str, file: str, force: bool = False, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Download one file of `owner/name[@revision]` from the Hub, or return it from the cache.

    Server errors (5xx), broken connections and truncated downloads are retried. A server that sends next to nothing is given up.

    Raises:
        WeightsError: The file cannot be downloaded.
    """
    from huggingface_hub import hf_hub_download

    repo, revision = split_source(source)
    cache = None if cache_dir is None else Path(cache_dir)
    request = lambda: hf_hub_download(repo, file, revision=revision, force_download=force, cache_dir=cache)  # noqa: E731
    return Path(_ask(source, request, cache))


def stored_sha256(file: Path) -> str | None:
    """Return the sha256 of a cached file according to the Hub; None for small files, which have no sha256 there.

    The cache stores files by ETag, which is the sha256 for large files.
    """
    name = file.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else None


def pull(source: str, folder: str | Path | None = None, force: bool = False) -> Path:
    """Download and verify a model; return its folder, for `local-dir:`.

    Args:
        source: `owner/name[@revision]`.
        folder: Folder to copy the files to, atomically; the cache folder by default.
        force: Download again even if cached.

    Raises:
        InputError: `folder` already exists.
        WeightsError: A file cannot be downloaded or is damaged.
    """
    from huggingface_hub import constants, list_repo_files

    target = None if folder is None else check_new_folder(folder, "choose another folder")
    repo = split_source(source)[0]
    config = download(source, CONFIG_FILE, force)
    commit = config.parent.name  # a branch may move between two requests; the commit does not
    weights = download(f"{repo}@{commit}", WEIGHTS_FILE, force)
    if (sha256 := stored_sha256(weights)) is not None:
        check_sha256(weights, sha256)
    found = {file.name for file in config.parent.iterdir()}
    if not constants.HF_HUB_OFFLINE:  # offline, the cached files are sufficient
        found |= set(_ask(source, lambda: list_repo_files(repo, revision=commit)))
    files = [config, weights, *(download(f"{repo}@{commit}", name, force) for name in FILES[2:] if name in found)]
    if target is None:
        return config.parent
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
        copy = Path(scratch) / "model"
        copy.mkdir()
        for file in files:
            shutil.copyfile(file, copy / file.name)
        copy.rename(target)
    return target


def push(folder: str | Path, repo: str, private: bool = False, message: str = "", revision: str | None = None) -> str:
    """Upload a folder written by `save_pretrained` or `cdzoo train`; return the commit.

    The repository is created if it does not exist. Training logs and checkpoints are not uploaded.

    Raises:
        InputError: The folder does not contain a model.
        WeightsError: The weights are damaged or not finite, or the Hub rejects the upload.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    folder = Path(folder)
    for name in FILES[:2]:
        if not (folder / name).is_file():
            raise InputError(f"{folder}: there is no {name}, so no model to publish; cdzoo train --out {folder} writes one")
    split_source(repo if revision is None else f"{repo}@{revision}")
    read_tensors(folder / WEIGHTS_FILE)  # refuses damaged weights and NaN
    api = HfApi()
    _ask(repo, lambda: api.create_repo(repo, private=private, exist_ok=True))
    if revision is not None:
        _ask(repo, lambda: api.create_branch(repo, branch=revision, exist_ok=True))
    operations = [CommitOperationAdd(name, str(folder / name)) for name in FILES if (folder / name).is_file()]
    text = message or f"Upload {folder.name} with cdzoo"
    # What is sent is not counted, so the time allowed is that of a slow line.
    patience = PATIENCE + sum((folder / name).stat().st_size for name in FILES if (folder / name).is_file()) / LEAST
    send = lambda: api.create_commit(repo, operations, commit_message=text, revision=revision)  # noqa: E731
    info = _ask(repo, send, patience=patience)
    return str(info.oid)


def split_source(source: str) -> tuple[str, str | None]:
    """Return repository and revision (branch, tag or commit) of `owner/name[@revision]`.

    Raises:
        WeightsError: `source` has another form, or the revision is no name that git accepts.
    """
    repo, mark, revision = source.partition("@")
    valid = re.fullmatch(r"[\w.-]+/[\w.-]+", repo) is not None and ".." not in repo
    if not valid or (mark and not _REVISION.fullmatch(revision)):
        raise WeightsError(
            f"hf-hub:{source} could not be downloaded: expected owner/name or owner/name@revision, with the name of a branch or "
            "tag, or a commit, as revision"
        )
    return repo, revision or None


def _ask(source: str, request: Callable[[], T], cache: Path | None = None, patience: float | None = None) -> T:
    """Make a request, retry it if the server or the connection fails, and raise `WeightsError` with the cause.

    Args:
        source: Model, for the message.
        request: Makes the request.
        cache: Folder that it downloads to.
        patience: Seconds to wait for a server that sends next to nothing.
    """
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    what = f"hf-hub:{source}"
    for left in reversed(range(TRIES)):
        try:
            return watched(request, cache, patience)
        except StalledError as error:
            raise WeightsError(f"{what} could not be downloaded: {error}; try again later, or set HF_ENDPOINT") from error
        except WeightsError as error:
            raise WeightsError(f"{what} could not be downloaded: {error}") from error
        except (GatedRepoError, RepositoryNotFoundError) as error:
            raise WeightsError(
                f"{what} could not be downloaded: the repository does not exist, or you have no access to it; log in with: hf "
                f"auth login ({_first_line(error)})"
            ) from error
        except LocalEntryNotFoundError as error:  # after the retries of the client, or offline
            raise WeightsError(f"{what} could not be downloaded and is not in the cache: {_first_line(error)}") from error
        except (RevisionNotFoundError, EntryNotFoundError, HFValidationError, OfflineModeIsEnabled) as error:
            raise WeightsError(f"{what} could not be downloaded: {_first_line(error)}") from error
        except HfHubHTTPError as error:
            status = getattr(error.response, "status_code", None)
            if status in (401, 403):
                raise WeightsError(
                    f"{what} was refused ({status}): log in with a token that has write access: hf auth login, or set HF_TOKEN"
                ) from error
            if not left or (status is not None and status < 500):
                raise WeightsError(f"{what} failed: {_first_line(error)}") from error
        except Exception as error:
            # Broken connections and truncated downloads raise errors of the HTTP library, which differs between versions; an
            # answer that is not one of a Hub raises errors of any type.
            if not left or not _is_connection(error):
                raise WeightsError(f"{what} could not be downloaded: {_first_line(error)}") from error
        time.sleep(FIRST_WAIT * 2 ** (TRIES - 1 - left))
    raise AssertionError("unreachable")


def _is_connection(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "requests")


def _first_line(error: Exception) -> str:
    return mask_urls(error).strip().split("\n")[0] or type(error).__name__
