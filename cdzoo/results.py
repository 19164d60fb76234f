"""`Results`: the scores of a model and how they were obtained, as stored in `results.json`."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from cdzoo._version import __version__
from cdzoo.bootstrap import ImageScore, Intervals
from cdzoo.errors import InputError
from cdzoo.io.files import write_json
from cdzoo.metrics import Scores, ThresholdScores
from cdzoo.protocol import Protocol

__all__ = ["RESULTS_FILE", "Environment", "Hardware", "ProtocolRecord", "Results", "Scores", "ThresholdScores"]

RESULTS_FILE = "results.json"
_OF_THE_RUN = ("seed", "device", "devices", "nodes", "progress", "workers", "log", "tensorboard")
"""Settings of a training in which the seeds of one model may differ."""


@dataclass(frozen=True)
class Hardware:
    """Device type and name, number of threads on the CPU, and operating system."""

    device: str
    name: str
    threads: int
    system: str


@dataclass(frozen=True)
class Environment:
    """Software and hardware.

    Attributes:
        versions: Version of Python and of each package.
        commit: Commit of the source tree, followed by `+` if it was modified; None for an installed package.
        hardware: Hardware and operating system.
        processes: Number of processes of a training run.
    """

    versions: dict[str, str]
    commit: str | None
    hardware: Hardware
    processes: int = 1

    @classmethod
    def current(cls, device: torch.device | str = "cpu", processes: int = 1) -> Environment:
        """Return the environment of this process."""
        device = torch.device(device)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
        versions = {"cdzoo": __version__, "python": platform.python_version()}
        for package in ("torch", "torchvision", "timm", "lightning", "numpy", "pillow"):
            try:
                versions[package] = version(package)
            except PackageNotFoundError:
                continue
        hardware = Hardware(device.type, name, torch.get_num_threads(), platform.system())
        return cls(versions, _commit(), hardware, processes)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Environment:
        """Read the output of `to_dict`; unknown keys are ignored."""
        return TypeAdapter(cls).validate_python(data)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class ProtocolRecord:
    """Protocol of a score and the splits it was applied to.

    Attributes:
        protocol: Fields of `Protocol` by name; those of older versions may differ.
        splits: Number of samples (`samples`) and hash of their names (`sha256`, see `manifest_hash`) of each split.
        hash: First 16 digits of a sha256 of the other fields; scores with equal hashes can be compared.
    """

    protocol: dict[str, Any]
    splits: dict[str, dict[str, Any]]
    hash: str

    @classmethod
    def of(cls, protocol: Protocol, names: Mapping[str, Iterable[str]]) -> ProtocolRecord:
        """Describe a protocol that is applied to splits, given the names of the samples of each split."""
        listed = {split: list(samples) for split, samples in names.items()}
        splits = {k: {"samples": len(samples), "sha256": manifest_hash(samples)} for k, samples in listed.items()}
        fields = dataclasses.asdict(protocol)
        for name, usual in (("scale", 1), ("augment", "none")):  # so that hashes of scores without them stay
            if fields[name] == usual:
                del fields[name]
        return cls(fields, splits, _digest({**fields, "splits": splits}))

    @property
    def name(self) -> str:
        """Name of the protocol."""
        return str(self.protocol["name"])

    @property
    def samples_hash(self) -> str:
        """`hash` without the threshold, at which models may differ and still be scored on the same samples in the same way."""
        fields = {name: value for name, value in self.protocol.items() if name != "threshold"}
        return _digest({**fields, "splits": self.splits})

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: the fields of the protocol, `splits` and `hash`."""
        return {**self.protocol, "splits": self.splits, "hash": self.hash}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProtocolRecord:
        """Read the output of `to_dict`.

        Raises:
            ValueError: An entry is missing or invalid.
        """
        fields = TypeAdapter(dict[str, Any]).validate_python(data)
        protocol = {key: value for key, value in fields.items() if key not in ("splits", "hash")}
        if not isinstance(protocol.get("name"), str) or not 0 < TypeAdapter(float).validate_python(protocol.get("threshold")) < 1:
            raise ValueError("the protocol must have a name and a threshold between 0 and 1")
        record = {"protocol": protocol, "splits": fields.get("splits"), "hash": fields.get("hash")}
        return TypeAdapter(cls).validate_python(record)


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Results:
    """Scores of a model on a split, and how they were obtained.

    `results["f1"]` returns a score, `results["split"]` an entry of `results.json`.

    Attributes:
        model: Registered name of the model.
        split: Scored split.
        scores: Scores.
        protocol: Protocol and splits.
        environment: Software and hardware.
        source: Name, folder or repository from which the model was loaded.
        step: Optimizer step of the weights.
        epoch: Epoch of the weights.
        seed: Seed of the training run.
        training: Settings of the training run, see `cdzoo.engine.TrainCfg`.
        data: Description of the data, see `cdzoo.data.open.DataCfg`.
        notes: Remarks on the data.
        provenance: `"measured"`, or `"quoted"` from a publication.
        weights_sha256: Hash of the weights file.
        intervals: 95 % bootstrap intervals of the scores over images.
        per_image: Pixel counts of each image at the threshold.
        trained: In the results of an evaluation: entries of the results of the training run.
        extra: Further entries of `results.json`.
    """

    model: str
    split: str
    scores: Scores
    protocol: ProtocolRecord | None = None
    environment: Environment | None = None
    source: str | None = None
    step: int | None = None
    epoch: int | None = None
    seed: int | None = None
    training: dict[str, Any] | None = None
    data: Any = None
    notes: list[str] | None = None
    provenance: str = "measured"
    weights_sha256: str | None = None
    intervals: Intervals | None = None
    per_image: list[ImageScore] | None = None
    trained: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return model, split, protocol and summary scores; `to_dict` has all entries."""
        protocol = f", protocol {self.protocol.name}" if self.protocol else ""
        return f"Results({self.source or self.model} on the {self.split} split{protocol})\n  {self.scores!r}"

    def __getitem__(self, key: str) -> Any:
        return {**self.scores.to_dict(), **self.scores.further, **self.to_dict()}[key]

    def with_entries(self, entries: Mapping[str, Any]) -> Results:
        """Return a copy with other values of fields; keys that are not fields go to `extra`."""
        names = [f.name for f in dataclasses.fields(self)]
        extra = {key: value for key, value in entries.items() if key not in names}
        values = {key: value for key, value in entries.items() if key in names}
        return dataclasses.replace(self, **{"extra": {**self.extra, **extra}, **values})

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values without fields that are unset."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "extra"}
        plain = {key: _plain(value) for key, value in values.items()}
        return {**{key: value for key, value in plain.items() if value is not None}, **self.extra}

    @property
    def settings(self) -> str | None:
        """What the seeds of one model share, as text: name, settings of the training, and its data; None if it is not known."""
        found = self.trained if self.training is None else {"training": self.training, "protocol_hash": self._protocol_hash}
        if not found or not isinstance(training := found.get("training"), dict):
            return None
        shared = {key: value for key, value in training.items() if key not in _OF_THE_RUN}
        return json.dumps([self.model, shared, found.get("protocol_hash")], sort_keys=True, default=str)

    @property
    def _protocol_hash(self) -> str | None:
        return None if self.protocol is None else self.protocol.hash

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Results:
        """Read the output of `to_dict`.

        Raises:
            ValueError: An entry is missing or invalid.
        """
        data = TypeAdapter(dict[str, Any]).validate_python(data)
        protocol = ProtocolRecord.from_dict(data["protocol"]) if "protocol" in data else None
        if isinstance(described := data.get("data"), dict) and not isinstance(described.get("data"), str):
            raise ValueError("data must name its folder or data set")
        names = {f.name for f in dataclasses.fields(cls)}
        known: Results = TypeAdapter(cls).validate_python({**data, "protocol": protocol})
        return known.with_entries({key: value for key, value in data.items() if key not in names})

    def write(self, file: str | Path) -> None:
        """Write a JSON file atomically."""
        write_json(file, self.to_dict())

    @classmethod
    def read(cls, file: str | Path) -> Results:
        """Read a JSON file written by `write`.

        Raises:
            InputError: The file does not exist, or does not contain results.
        """
        try:
            return cls.from_dict(read_json(file))
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise InputError(f"{file}: not a results file of cdzoo ({reason}); remove it, or write it anew") from error


def read_json(file: str | Path) -> Any:
    """Return the content of a JSON file of results.

    Raises:
        InputError: The file cannot be read or is not JSON, or a number in it is NaN or infinite.
    """
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not a results file of cdzoo ({error}); remove it, or write it anew") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a score")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


@functools.cache
def _commit() -> str | None:
    """Return the commit of the source tree of cdzoo, followed by `+` if it was modified; None for an installed package."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def manifest_hash(names: Iterable[str]) -> str:
    """Return the first 16 digits of a sha256 of the sample names of a split, independent of their order."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]
