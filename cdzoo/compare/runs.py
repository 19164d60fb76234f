"""`read_runs`: results of runs and files, grouped by what can be compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from cdzoo.bootstrap import ImageScore
from cdzoo.errors import InputError
from cdzoo.metrics import Confusion
from cdzoo.results import RESULTS_FILE, Results, read_json


class Condition(NamedTuple):
    """What scores must share to be compared.

    Attributes:
        split: Scored split.
        protocol: Name of the protocol.
        hash: Hash of the protocol without its threshold, and of the names of the samples.
        provenance: `"measured"` or `"quoted"`.
        positive: What F1 and the scores beside it are of: `"change"` or `"building"`.
    """

    split: str
    protocol: str
    hash: str
    provenance: str
    positive: str = "change"

    def __str__(self) -> str:
        of = "" if self.positive == "change" else f", scores of: {self.positive}"
        return f"split {self.split}, protocol {self.protocol} (hash {self.hash}), {self.provenance}{of}"


@dataclass(frozen=True)
class Run:
    """A model that was trained or evaluated with one or several seeds.

    Attributes:
        label: Name in tables.
        results: Results of each seed, of one condition.
        source: Folder or name of the model of the first seed.
    """

    label: str
    results: list[Results]
    source: str = ""

    @cached_property
    def images(self) -> list[ImageScore]:
        """Pixel counts of each image, added over the seeds; empty if a seed has none or other images."""
        pooled: dict[str, Confusion] = {}
        for result in self.results:
            found = {image.name: image.confusion for image in result.per_image or []}
            if not found or (pooled and pooled.keys() != found.keys()):
                return []
            pooled = {name: confusion + pooled[name] if name in pooled else confusion for name, confusion in found.items()}
        return [ImageScore(name, **asdict(confusion)) for name, confusion in pooled.items()]

    @property
    def folder(self) -> Path | None:
        """Folder of the model, if it exists on this machine."""
        path = Path(self.source.removeprefix("local-dir:"))
        return path if self.source and path.is_dir() else None


def read_runs(paths: Sequence[str]) -> dict[Condition, list[Run]]:
    """Read runs and group them by condition, in their order.

    Args:
        paths: Folders of `cdzoo train`, also those with several seeds, or files of `cdzoo eval --out`.

    Raises:
        InputError: A path has no results.
    """
    found: dict[Condition, dict[str, Run]] = {}
    for path in paths:
        for label, source, result in _read(Path(path)):
            record = result.protocol
            # Without a protocol, nothing is known to be comparable.
            name, digest = (record.name, record.samples_hash) if record else ("unknown", label)
            condition = Condition(result.split, name, digest, result.provenance, result.scores.positive)
            runs = found.setdefault(condition, {})
            if label in runs and _settings(runs[label].results[0]) != _settings(result):
                label = source  # another model or other settings, not another seed
            runs.setdefault(label, Run(label, [], source)).results.append(result)
    return {condition: list(runs.values()) for condition, runs in found.items()}


def _settings(result: Results) -> tuple[str, str | None]:
    return result.model, result.settings


def _read(path: Path) -> Iterator[tuple[str, str, Results]]:
    """Yield label, model and results of each seed."""
    if path.is_dir():
        files = [path / RESULTS_FILE] if (path / RESULTS_FILE).is_file() else sorted(path.glob(f"seed_*/{RESULTS_FILE}"))
        if not files:
            raise InputError(f"{path}: no results; evaluate a run with: cdzoo eval --model {path} --data FOLDER --out FILE.json")
        for file in files:
            yield str(path), str(file.parent), Results.read(file)
        return
    several = _seeds(path)
    if several is None:
        result = Results.read(path)
        yield path.stem, result.source or result.model, result
    for result in several or []:
        source = result.source or result.model
        yield re.sub(r"[/\\]seed_\d+$", "", source), source, result


def _seeds(file: Path) -> list[Results] | None:
    """Return the results in a file of several runs; None for a file of one."""
    data = read_json(file)
    if not isinstance(data, dict) or "runs" not in data:
        return None
    try:
        return [Results.from_dict(run) for run in data["runs"]]
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{file}: not a results file of cdzoo ({error}); cdzoo eval --out FILE.json writes one") from error
