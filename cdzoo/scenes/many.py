"""Lists of scenes, predicted one after the other or by the workers of a Ray cluster."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdzoo.errors import CdzooError, InputError, require
from cdzoo.models.detector import ChangeDetector
from cdzoo.scenes.config import PolygonCfg, SceneCfg
from cdzoo.scenes.predict import predict_scene

COLUMNS = ("before", "after", "output", "probability", "polygons", "report")
REQUIRED = COLUMNS[:3]
MAX_TRIES = 3


@dataclass(frozen=True)
class Scene:
    """Paths of one scene, see `predict_scene`; None for outputs that are not written."""

    before: str
    after: str
    output: str
    probability: str | None = None
    polygons: str | None = None
    report: str | None = None

    @property
    def outputs(self) -> list[Path]:
        """Files that are written."""
        return [Path(file) for file in (self.output, self.probability, self.polygons, self.report) if file is not None]


@dataclass(frozen=True)
class Outcome:
    """Result of one scene of a list.

    Attributes:
        output: GeoTIFF of the change map.
        error: Error message; empty if the scene was predicted.
        seconds: Wall time.
        changed: Number of changed pixels.
        pixels: Number of pixels with data in both dates.
    """

    output: str
    error: str = ""
    seconds: float = 0.0
    changed: int = 0
    pixels: int = 0


def read_manifest(path: str | Path) -> list[Scene]:
    """Read a list of scenes: a CSV file with the columns `before`, `after`, `output`, and optionally the other `COLUMNS`.

    Relative paths are relative to the folder of the file.

    Raises:
        InputError: The file cannot be read, has other columns, lacks a value, names an output twice, or names an image that does
            not exist; the message names the line.
    """
    file = Path(path)
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened)
            lines, names = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read as a list of scenes ({error})") from error
    if missing := [name for name in REQUIRED if name not in names]:
        raise InputError(f"{file}: missing column(s) {', '.join(missing)}; found {', '.join(names) or 'none'}")
    if unknown := [name for name in names if name not in COLUMNS]:
        raise InputError(f"{file}: unknown column(s) {', '.join(unknown)}; supported columns: {', '.join(COLUMNS)}")
    scenes: list[Scene] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 2):
        values = {name: str(file.parent / value.strip()) for name, value in line.items() if value and value.strip()}
        if lacking := [name for name in REQUIRED if name not in values]:
            raise InputError(f"{file}, line {number}: no value for {', '.join(lacking)}")
        for name in ("before", "after"):
            if not Path(values[name]).is_file():
                raise InputError(f"{file}, line {number}: {values[name]}: no such file")
        for name in COLUMNS[2:]:
            if name in values and seen.setdefault(values[name], number) != number:
                raise InputError(f"{file}, line {number}: {values[name]} is already an output of line {seen[values[name]]}")
        scenes.append(Scene(**values))
    if not scenes:
        raise InputError(f"{file}: the list has no scenes")
    return scenes


def unfinished(scenes: Iterable[Scene]) -> list[Scene]:
    """Return the scenes with missing outputs. Outputs are written atomically, so those that exist are complete."""
    return [scene for scene in scenes if not all(file.is_file() for file in scene.outputs)]


def predict_scenes(
    load: Callable[[], ChangeDetector], scenes: Iterable[Scene], cfg: SceneCfg, polygon_cfg: PolygonCfg | None = None
) -> Iterator[Outcome]:
    """Predict scenes one after the other and yield their results; the error of a scene is in its result.

    Args:
        load: Function that returns the model, on its device.
        scenes: Scenes.
        cfg: Settings of all scenes.
        polygon_cfg: Post-processing of the polygons.
    """
    worker = Worker(load, cfg, polygon_cfg)
    for scene in scenes:
        yield worker.predict(scene)


def predict_on_ray(
    load: Callable[[], ChangeDetector],
    scenes: list[Scene],
    cfg: SceneCfg,
    polygon_cfg: PolygonCfg | None = None,
    address: str | None = None,
    workers: int | None = None,
    gpus: float = 0.0,
    cores: float = 1.0,
) -> Iterator[Outcome]:
    """Predict scenes with Ray, on this machine or a cluster, and yield their results as scenes are completed.

    A worker that dies is replaced, and its scene resumes from the last stored block. The files must have the same paths on all
    machines.

    Args:
        load: Function that returns the model, on its device; each worker calls it once.
        scenes: Scenes, distributed one by one.
        cfg: Settings of all scenes.
        polygon_cfg: Post-processing of the polygons.
        address: Address of a running cluster; None starts Ray on this machine.
        workers: Number of workers; by default as many as the cluster has resources for.
        gpus: GPUs per worker.
        cores: CPU cores per worker.

    Raises:
        MissingDependencyError: Ray is not installed.
    """
    data = require("ray.data", "geo,ray", "predicting on several machines")
    ray = require("ray", "geo,ray", "predicting on several machines")
    ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, configure_logging=False)
    resources = ray.cluster_resources()
    capacity = int(resources.get("GPU", 0) / gpus) if gpus else int(resources.get("CPU", 1) / cores)
    # One scene per block, because Ray retries whole blocks.
    rows = data.from_items([dataclasses.asdict(scene) for scene in scenes], override_num_blocks=len(scenes))
    outcomes = rows.map(
        Worker,
        fn_constructor_args=(load, dataclasses.replace(cfg, progress=False), polygon_cfg),
        compute=data.ActorPoolStrategy(size=max(1, min(workers or capacity, len(scenes)))),
        num_cpus=cores,
        num_gpus=gpus,
    )
    for row in outcomes.iter_rows():
        yield Outcome(**row)


class Worker:
    """Predicts scenes with one model.

    Args:
        load: Function that returns the model, on its device.
        cfg: Settings of all scenes.
        polygon_cfg: Post-processing of the polygons.
    """

    def __init__(self, load: Callable[[], ChangeDetector], cfg: SceneCfg, polygon_cfg: PolygonCfg | None) -> None:
        self.model, self.cfg, self.polygon_cfg = load(), cfg, polygon_cfg

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Predict a scene given as a row of a Ray dataset; return its result as a row."""
        return dataclasses.asdict(self.predict(Scene(**row)))

    def predict(self, scene: Scene) -> Outcome:
        """Predict a scene, up to `MAX_TRIES` times after errors other than invalid input, such as those of a file system."""
        error = ""
        for _ in range(MAX_TRIES):
            try:
                for file in scene.outputs:
                    file.parent.mkdir(parents=True, exist_ok=True)
                result = predict_scene(self.model, cfg=self.cfg, polygon_cfg=self.polygon_cfg, **dataclasses.asdict(scene))
            except CdzooError as reason:
                return Outcome(scene.output, str(reason))
            except (OSError, RuntimeError) as reason:
                error = f"{type(reason).__name__}: {reason}"
            else:
                return Outcome(scene.output, "", result.seconds, result.changed, result.pixels)
        return Outcome(scene.output, error)
