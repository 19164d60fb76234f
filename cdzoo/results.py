"""`Results`: scores with the protocol, the environment and the training they were obtained with, and their JSON files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from cdzoo._version import __version__
from cdzoo.errors import InputError
from cdzoo.io.files import write_json
from cdzoo.metrics import Scores
from cdzoo.protocol import Protocol

RESULTS_FILE = "results.json"
_PACKAGES = ("torch", "torchvision", "timm", "lightning", "numpy", "pillow")


@dataclass(frozen=True)
class ProtocolRecord:
    """Protocol of a score, with a hash of the samples of each split.

    Attributes:
        protocol: Fields of the `Protocol`.
        splits: Number of samples (`samples`) and hash of their names (`sha256`) of each split.
        hash: Hash of both; two scores are comparable if it is equal.
    """

    protocol: dict[str, Any]
    splits: dict[str, dict[str, Any]]
    hash: str

    @classmethod
    def of(cls, protocol: Protocol, names: Mapping[str, Iterable[str]]) -> ProtocolRecord:
        """Describe a protocol and the names of the samples of each split."""
        splits = {split: {"samples": len(listed), "sha256": manifest_hash(listed)} for split, listed in _lists(names)}
        fields = dataclasses.asdict(protocol)
        text = json.dumps({**fields, "splits": splits}, sort_keys=True)
        return cls(fields, splits, hashlib.sha256(text.encode()).hexdigest()[:16])

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProtocolRecord:
        """Read a record from JSON values."""
        fields = {key: value for key, value in data.items() if key not in ("splits", "hash")}
        return cls(fields, dict(data.get("splits", {})), str(data.get("hash", "")))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**self.protocol, "splits": self.splits, "hash": self.hash}

    @property
    def name(self) -> str:
        """Name of the protocol."""
        return str(self.protocol.get("name", ""))


@dataclass(frozen=True)
class Environment:
    """Versions, commit and hardware.

    Attributes:
        versions: Versions of Python and the main packages.
        commit: Commit of the source tree, with `+` if it has uncommitted changes; None for an installed package.
        hardware: Device, its name, threads and operating system.
        processes: Number of processes.
    """

    versions: dict[str, str] = field(default_factory=dict)
    commit: str | None = None
    hardware: dict[str, Any] = field(default_factory=dict)
    processes: int = 1

    @classmethod
    def current(cls, device: torch.device | str = "cpu", processes: int = 1) -> Environment:
        """Describe the current environment."""
        device = torch.device(device)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
        versions = {"cdzoo": __version__, "python": platform.python_version()}
        for package in _PACKAGES:
            try:
                versions[package] = version(package)
            except PackageNotFoundError:
                continue
        system = {"device": device.type, "name": name, "threads": torch.get_num_threads(), "system": platform.system()}
        return cls(versions, _commit(), system, processes)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Environment:
        """Read an environment from JSON values; unknown keys are ignored."""
        return cls(**{f.name: data[f.name] for f in dataclasses.fields(cls) if f.name in data})


@dataclass
class Results:
    """Scores of a model on a split. `results["f1"]` returns a score.

    Attributes:
        model: Name of the model.
        split: Name of the split.
        scores: Scores.
        protocol: Protocol of the scores; None if unknown.
        environment: Environment of the evaluation; None if unknown.
        provenance: `"measured"` or `"quoted"`.
        data: Fields of `DataCfg`, or the name of the data set.
        source: Folder, repository or name that the model was loaded from.
        weights_sha256: Hash of the weights file.
        training: Settings of the training.
        trained: Training of the evaluated weights, from the results beside them.
        step: Optimizer step of the weights.
        epoch: Epoch of the weights.
        seed: Seed of the training.
        extra: Further entries.
    """

    model: str
    split: str
    scores: Scores
    protocol: ProtocolRecord | None = None
    environment: Environment | None = None
    provenance: str = "measured"
    data: Any = None
    source: str | None = None
    weights_sha256: str | None = None
    training: dict[str, Any] | None = None
    trained: dict[str, Any] | None = None
    step: int | None = None
    epoch: int | None = None
    seed: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Results:
        """Read results from JSON values, also of files written by earlier versions.

        Raises:
            InputError: The scores are missing.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("scores"), Mapping):
            raise InputError("results without scores")
        known = {f.name for f in dataclasses.fields(cls)} - {"extra"}
        values = {key: value for key, value in data.items() if key in known}
        values.setdefault("model", "")
        values.setdefault("split", "val")
        values["scores"] = Scores.from_dict(data["scores"])
        if isinstance(data.get("protocol"), Mapping):
            values["protocol"] = ProtocolRecord.from_dict(data["protocol"])
        if isinstance(data.get("environment"), Mapping):
            values["environment"] = Environment.from_dict(data["environment"])
        return cls(**values, extra={key: value for key, value in data.items() if key not in known})

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; entries that are None are omitted."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "extra"}
        values["scores"] = self.scores.to_dict()
        values["protocol"] = self.protocol and self.protocol.to_dict()
        values["environment"] = self.environment and dataclasses.asdict(self.environment)
        return {**{key: value for key, value in values.items() if value is not None}, **self.extra}

    @classmethod
    def read(cls, file: str | Path) -> Results:
        """Read results from a JSON file.

        Raises:
            InputError: The file cannot be read, or contains no results.
        """
        try:
            return cls.from_dict(json.loads(Path(file).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{file}: not a results file ({error}); cdzoo train and cdzoo eval --out write one") from error

    def write(self, file: str | Path) -> None:
        """Write results to a JSON file, atomically."""
        write_json(file, self.to_dict())

    def __getitem__(self, name: str) -> Any:
        return self.scores[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scores)


def manifest_hash(names: Iterable[str]) -> str:
    """Return a hash of the names of samples, independent of their order: the first 16 digits of their sha256."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]


def _lists(names: Mapping[str, Iterable[str]]) -> list[tuple[str, list[str]]]:
    return [(split, list(listed)) for split, listed in names.items()]


def _commit() -> str | None:
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        outputs = [
            subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return outputs[0].strip() + ("+" if outputs[1].strip() else "")
