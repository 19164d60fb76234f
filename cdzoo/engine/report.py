"""What is stored with a score: where, with what and from what it was made."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from cdzoo import __version__
from cdzoo.files import replace_atomically

RESULTS_FILE = "results.json"


def environment(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return versions, commit and hardware."""
    device = torch.device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    versions = {"cdzoo": __version__, "python": platform.python_version()}
    for package in ("torch", "torchvision", "timm", "lightning", "torchmetrics", "numpy", "pillow"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "commit": commit(),
        "hardware": {"device": device.type, "name": name, "threads": torch.get_num_threads(), "system": platform.system()},
    }


def commit() -> str | None:
    """Return the commit of the source tree that cdzoo runs from, with `+` when it was changed since; None when installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        asked = [
            subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return asked[0] + ("+" if asked[1] else "")


def file_hash(path: str | Path) -> str:
    """Return the sha256 of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def write_json(path: str | Path, data: Any) -> None:
    """Write JSON so that the file is complete or as it was before."""
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _digest(file: Any) -> str:  # Python 3.10
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
