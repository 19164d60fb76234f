"""What is to be run: tables of rows, each row a choice of parts, and the training runs that they need together."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cdzoo.engine.config import TrainCfg
from cdzoo.errors import ConfigError, InputError
from cdzoo.names import suggest

_KEYS = ("title", "model", "data", "protocol", "seeds", "train", "tables")
_PARTS = ("backbone", "neck", "fusion", "decoder", "head")
_ROW = ("model", "in_chans", "num_classes", "siamese", *_PARTS, *(f"{part}_kwargs" for part in _PARTS))
_TRAIN = tuple(f.name for f in dataclasses.fields(TrainCfg) if f.name not in ("seed", "device", "devices", "nodes", "progress"))


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        model: Registered model that it starts from.
        parts: Overrides of `create_model`; the word "none" leaves a neck or decoder out.
        data: As `--data`.
        protocol: As `--protocol`; None for the data set's own.
        train: Settings of `TrainCfg`.
        seed: Of the weights, shuffling and augmentation.
    """

    model: str
    parts: dict[str, Any]
    data: str
    protocol: str | None
    train: dict[str, Any]
    seed: int

    @property
    def key(self) -> str:
        """Name of the run's file: equal for equal runs, whichever tables ask for them."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        words = [self.model, *(str(value) for value in self.parts.values() if isinstance(value, str))]
        return "-".join([*words, f"seed{self.seed}", hashlib.sha256(text.encode()).hexdigest()[:10]]).replace("/", "_")


@dataclass(frozen=True)
class Table:
    """Rows to compare: label to overrides of `create_model`, and "model" for another model than the grid's."""

    name: str
    title: str
    rows: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Grid:
    """A file of tables.

    Attributes:
        title: One line for people.
        model: Registered model that rows change.
        data: As `--data`.
        protocol: As `--protocol`.
        seeds: Each row is trained once for each.
        train: Settings of `TrainCfg`.
        tables: What is compared.
    """

    title: str
    model: str
    data: str
    protocol: str | None = None
    seeds: tuple[int, ...] = (0,)
    train: dict[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()

    def job(self, row: Mapping[str, Any], seed: int) -> Job:
        """Return the run of one row and seed."""
        parts = {key: value for key, value in row.items() if key != "model"}
        return Job(row.get("model", self.model), parts, self.data, self.protocol, self.train, seed)

    def jobs(self) -> list[Job]:
        """Return every run that the tables need, each once: seed by seed, so that all rows have one before any has two."""
        found = {
            job.key: job
            for seed in self.seeds
            for table in self.tables
            for row in table.rows.values()
            for job in [self.job(row, seed)]
        }
        return list(found.values())


def read_grid(path: str | Path, **changes: Any) -> Grid:
    """Read a grid from YAML.

    Args:
        path: File with `title`, `model`, `data`, `protocol`, `seeds`, `train` and `tables`; see `ablations/` for examples.
        **changes: `data`, `protocol`, `seeds`, `model` or `train` (merged) to use instead.

    Raises:
        InputError: The file is not there or no YAML.
        ConfigError: It holds something unknown; the entry is named.
    """
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as a grid ({error}); the folder ablations holds examples") from error
    _known(f"{path}", data, _KEYS)
    values = {**data, **{key: value for key, value in changes.items() if key != "train" and value is not None}}
    values["train"] = {**data.get("train", {}), **changes.get("train", {})}
    for key in ("title", "model", "data", "tables"):
        if not values.get(key):
            raise ConfigError(f"{path}: the grid lacks '{key}'")
    _known(f"{path}: train", values["train"], _TRAIN)
    TrainCfg(**values["train"])
    tables = []
    for name, table in values["tables"].items():
        _known(f"{path}: tables: {name}", table, ("title", "rows"))
        for label, row in table["rows"].items():
            _known(f"{path}: tables: {name}: {label}", row, _ROW)
        tables.append(Table(name, table["title"], {str(label): dict(row) for label, row in table["rows"].items()}))
    seeds = tuple(values.get("seeds") or (0,))
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"{path}: seeds are different numbers, got {seeds}")
    return Grid(values["title"], values["model"], values["data"], values.get("protocol"), seeds, values["train"], tuple(tables))


def _known(what: str, data: Any, known: tuple[str, ...]) -> None:
    if not isinstance(data, dict):
        raise ConfigError(f"{what}: expected a mapping, got {type(data).__name__}")
    for key in data:
        if key not in known:
            raise ConfigError(f"{what}: unknown entry '{key}'.{suggest(str(key), known)} Entries: {', '.join(known)}")
