"""What is stored with a score: where, with what and from what it was made."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from cdzoo._version import __version__
from cdzoo.protocol import Protocol

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


def manifest_hash(names: Iterable[str]) -> str:
    """Return sha256 of the names of a split's samples, whatever their order; the first 16 digits."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]


def protocol_record(protocol: Protocol, splits: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Return what is stored with a score: the protocol, the size and manifest hash of each split, and one hash over all."""
    manifest: dict[str, dict[str, Any]] = {}
    for split, names in splits.items():
        listed = list(names)
        manifest[split] = {"samples": len(listed), "sha256": manifest_hash(listed)}
    record = {**dataclasses.asdict(protocol), "splits": manifest}
    return {**record, "hash": hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]}
