"""Grids: tables whose rows are options of a model, and the training runs that they require."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from cdzoo.config import ModelOptions
from cdzoo.engine.config import TrainCfg
from cdzoo.errors import CdzooError, ConfigError, InputError
from cdzoo.imports import imported_hashes
from cdzoo.io.plain_yaml import load_yaml
from cdzoo.validation import config_dataclass

_OF_THE_RUN = ("seed", "device", "devices", "nodes", "progress")
"""Settings of `TrainCfg` that a grid does not contain: `seeds` and the machine determine them."""

ThresholdSource = Literal["protocol", "validation"]
_Text = Annotated[str, Field(min_length=1)]


@dataclasses.dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        model: Name of the model.
        options: Further fields of `ModelOptions`.
        data: Data, see `DataCfg`.
        protocol: Name of the protocol; None for the default of the data set.
        train: Fields of `TrainCfg`.
        seed: Seed of the run.
        imports: Hashes of the imported files with components of one's own.
        threshold: Where the threshold of the test scores comes from, see `Grid`.
    """

    model: str
    options: dict[str, Any]
    data: str
    protocol: str | None
    train: dict[str, Any]
    seed: int
    imports: tuple[str, ...] = ()
    threshold: ThresholdSource = "protocol"

    @property
    def key(self) -> str:
        """Name of the result file: the same for equal runs in different tables."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        names = [self.model, *(str(value) for value in self.options.values() if isinstance(value, str))]
        shown = re.sub(r"[^\w.+-]", "_", "-".join([*names, f"seed{self.seed}"]))[:150]
        return f"{shown}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    @property
    def model_options(self) -> ModelOptions:
        """Description of the model.

        Raises:
            ConfigError: A field is unknown or invalid.
        """
        return ModelOptions(self.model, **self.options)

    @property
    def train_cfg(self) -> TrainCfg:
        """Settings of the run.

        Raises:
            ConfigError: A field is unknown or invalid.
        """
        return TrainCfg(**self.train, seed=self.seed, progress=False)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; the keys are part of `key` and thus of the names of result files."""
        values = dataclasses.asdict(self)
        for name, usual in (("imports", ()), ("threshold", "protocol")):  # the names of files of earlier runs stay
            if values[name] == usual:
                del values[name]
        return {"parts": values.pop("options"), **values}


@config_dataclass
class Table:
    """Rows to compare.

    Attributes:
        name: Name of its picture.
        title: Heading.
        rows: Label to fields of `ModelOptions`; `model` replaces the model of the grid, and the settings of `train` those of
            the grid.
    """

    name: Annotated[str, Field(pattern=r"^[\w-][\w.-]{0,99}$")]
    title: _Text
    rows: dict[str, dict[str, Any]]


@config_dataclass
class Grid:
    """Tables and the settings that their runs share.

    Attributes:
        title: Heading.
        model: Model that the rows modify.
        data: Data, see `DataCfg`.
        tables: Tables.
        protocol: Name of the protocol; None for the default of the data set.
        seeds: Each row is trained once per seed.
        train: Fields of `TrainCfg`.
        threshold: `protocol`: score the test split at the threshold of the protocol; `validation`: at the threshold with the best
            F1 on the split that selects the weights.
    """

    title: _Text
    model: _Text
    data: _Text
    tables: Annotated[tuple[Table, ...], Field(min_length=1)]
    protocol: str | None = None
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    train: dict[str, Any] = field(default_factory=dict)
    threshold: ThresholdSource = "protocol"

    def __post_init__(self) -> None:
        """Validate seeds, settings and rows."""
        if len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"seeds must be different numbers, got {self.seeds}")
        for seed in self.seeds:
            _check_settings(self.train, seed)
        for table in self.tables:
            for label, row in table.rows.items():
                try:
                    job = self.job(row, self.seeds[0])
                    _ = job.model_options
                    _check_settings(job.train, job.seed)
                except (ConfigError, TypeError) as error:
                    raise ConfigError(f"tables: {table.name}: {label}: {error}") from error

    def job(self, row: Mapping[str, Any], seed: int) -> Job:
        """Return the run of one row and seed."""
        options = {key: value for key, value in row.items() if key not in ("model", "train")}
        train = {**self.train, **_mapping("train", row.get("train", {}))}
        model, imports = row.get("model", self.model), tuple(imported_hashes())
        return Job(model, options, self.data, self.protocol, train, seed, imports, self.threshold)

    def jobs(self, labels: str = "*") -> list[Job]:
        """Return the runs of the tables without repetitions, sorted by seed, so that every row has a result early.

        Args:
            labels: Pattern of the labels of the rows, as in a shell.

        Raises:
            ConfigError: No row has such a label.
        """
        rows = [row for table in self.tables for label, row in table.rows.items() if fnmatchcase(label, labels)]
        if not rows:
            known = ", ".join(f"'{label}'" for table in self.tables for label in table.rows)
            raise ConfigError(f"no row is called '{labels}'; there are {known}")
        jobs = [self.job(row, seed) for seed in self.seeds for row in rows]
        return list({job.key: job for job in jobs}.values())


def read_grid(path: str | Path, **changes: Any) -> Grid:
    """Read a grid from YAML.

    Args:
        path: File with the fields of `Grid`; `tables` maps names to `title` and `rows`. See `ablations/` for examples.
        **changes: Fields to replace; `train` is merged.

    Raises:
        InputError: The file does not exist or is not YAML.
        ConfigError: A field is unknown, missing or invalid.
    """
    try:
        data = load_yaml(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as a grid ({error}); see the folder ablations for examples") from error
    try:
        values = {**_mapping("grid", data), **{key: value for key, value in changes.items() if value is not None}}
        values["train"] = {**_mapping("train", data.get("train", {})), **(changes.get("train") or {})}
        values["tables"] = [_table(name, table) for name, table in _mapping("tables", values.get("tables", {})).items()]
        return Grid(**values)
    except (CdzooError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _table(name: str, data: Any) -> Table:
    values = _mapping(f"tables: {name}", data)
    if isinstance(rows := values.get("rows"), dict):
        values = {**values, "rows": {str(label): row for label, row in rows.items()}}  # YAML reads some labels as numbers
    try:
        return Table(name=name, **values)
    except ConfigError as error:
        raise ConfigError(f"tables: {name}: {error}") from error


def _check_settings(train: Mapping[str, Any], seed: int) -> None:
    if fixed := [name for name in _OF_THE_RUN if name in train]:
        raise ConfigError(f"train: {', '.join(fixed)} cannot be set in a grid")
    try:
        TrainCfg(**train, seed=seed)
    except ConfigError as error:
        raise ConfigError(f"train: {error}") from error


def _mapping(label: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{label}: expected a mapping, got {type(value).__name__}")
    if odd := [key for key in value if not isinstance(key, str)]:
        raise ConfigError(f"{label}: names must be text, got {odd[0]!r}")
    return value
