"""Lists of scenes, predicted one after the other or by the workers of a Ray cluster."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdzoo.errors import CdzooError, InputError, require
from cdzoo.inference.model import PairModel
from cdzoo.io.band_files import is_several, several_files
from cdzoo.io.inputs import existing_file
from cdzoo.io.outputs import file_identity
from cdzoo.scenes.config import PolygonCfg, SceneCfg
from cdzoo.scenes.inputs import input_files
from cdzoo.scenes.outputs import writing
from cdzoo.scenes.predict import predict_scene

COLUMNS = ("before", "after", "output", "probability", "polygons", "report", "mask_before", "mask_after")
_INPUTS = ("before", "after", "mask_before", "mask_after")
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
    mask_before: str | None = None
    mask_after: str | None = None

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
        finished: Whether it was predicted before, with equal inputs and settings; pixels are not counted then.
    """

    output: str
    error: str = ""
    seconds: float = 0.0
    changed: int = 0
    pixels: int = 0
    finished: bool = False


def read_manifest(path: str | Path) -> tuple[list[Scene], list[str]]:
    """Read a list of scenes: a CSV file with the columns `before`, `after`, `output`, and optionally the other `COLUMNS`.

    Relative paths are relative to the folder of the file.

    Returns:
        The scenes, and the problems of the lines that cannot be predicted: a value or an image is missing, there are more values
        than columns, or an output is an image of the list or already an output. A problem names the file and the line.

    Raises:
        InputError: The file cannot be read, has other columns, or has no line that can be predicted.
    """
    file = Path(path)
    scenes: list[Scene] = []
    problems: list[str] = []
    lines = _lines(file)
    taken = {file_identity(file): "the list itself"}
    for number, line in lines:
        for name in _INPUTS:
            for image in _files_of(line.get(name, "")):
                taken.setdefault(file_identity(image), f"an image of line {number}")
    for number, line in lines:
        problem = _problem(line)
        outputs = {name: line[name] for name in COLUMNS[2:] if name in line and name not in _INPUTS}
        for name, value in outputs.items() if not problem else ():
            other = taken.setdefault(file_identity(value), f"an output of line {number}, {name}")
            if other != f"an output of line {number}, {name}":
                problem = f"{value} is {other.partition(',')[0]} as well; choose another file"
                break
        if problem:
            problems.append(f"{file}, line {number}: {problem}")
        else:
            scenes.append(Scene(**line))
    if not scenes:
        raise InputError("; ".join(problems[:3]) if problems else f"{file}: the list has no scenes")
    return scenes, problems


def _files_of(image: str) -> list[Path]:
    """Return the files of an image: of a folder of bands, or a pattern of them, each."""
    return [file for one in several_files(image) for file in input_files(one)]


def _lines(file: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the number and the values by column of the lines of a list; values beyond the last column are those of ''."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened, restkey="")
            lines, names = [(reader.line_num, line) for line in reader], [name.strip() for name in reader.fieldnames or []]
    except (OSError, ValueError, csv.Error) as error:
        hint = "; save it as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        raise InputError(f"{file}: cannot be read as a list of scenes ({error}){hint}") from error
    if missing := [name for name in REQUIRED if name not in names]:
        raise InputError(f"{file}: missing column(s) {', '.join(missing)}; found {', '.join(names) or 'none'}")
    if unknown := [name or "without a name" for name in names if name not in COLUMNS]:
        raise InputError(f"{file}: unknown column(s) {', '.join(unknown)}; supported columns: {', '.join(COLUMNS)}")
    if len(set(names)) < len(names):
        raise InputError(f"{file}: a column occurs twice: {', '.join(names)}")
    found = []
    for number, line in lines:
        beyond = line.pop("", None)
        values = {name.strip(): str(file.parent / value.strip()) for name, value in line.items() if value and value.strip()}
        found.append((number, values | ({"": ", ".join(beyond)} if beyond else {})))
    return found


def _problem(line: dict[str, str]) -> str:
    """Return why a line cannot be predicted; empty if it can."""
    if "" in line:
        return f"more values than columns ({line['']}); put a name with a comma in quotes"
    if lacking := [name for name in REQUIRED if name not in line]:
        return f"no value for {', '.join(lacking)}"
    if broken := [name for name, value in line.items() if "\0" in value]:
        return f"the value for {', '.join(broken)} contains a NUL"
    for name in _INPUTS:
        try:
            if name in line and not (name in REQUIRED and is_several(line[name])):
                existing_file(line[name])
        except InputError as error:
            return str(error)
    return ""


def predict_scenes(
    load: Callable[[], PairModel], scenes: Iterable[Scene], cfg: SceneCfg, polygon_cfg: PolygonCfg | None = None
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
    load: Callable[[], PairModel],
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

    def __init__(self, load: Callable[[], PairModel], cfg: SceneCfg, polygon_cfg: PolygonCfg | None) -> None:
        self.model, self.cfg, self.polygon_cfg = load(), cfg, polygon_cfg

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Predict a scene given as a row of a Ray dataset; return its result as a row."""
        return dataclasses.asdict(self.predict(Scene(**row)))

    def predict(self, scene: Scene) -> Outcome:
        """Predict a scene unless it is finished; no error of a scene ends the list.

        There are up to `MAX_TRIES` tries after errors that may pass, such as those of a file system.
        """
        error = ""
        for _ in range(MAX_TRIES):
            try:
                for file in scene.outputs:
                    with writing(file.parent):
                        file.parent.mkdir(parents=True, exist_ok=True)
                options: dict[str, Any] = {**dataclasses.asdict(scene), "skip_finished": True}
                result = predict_scene(self.model, cfg=self.cfg, polygon_cfg=self.polygon_cfg, **options)
            except CdzooError as reason:
                return Outcome(scene.output, str(reason))
            except Exception as reason:
                error = f"{type(reason).__name__}: {reason}"
                if not isinstance(reason, OSError | RuntimeError):
                    break
            else:
                return Outcome(scene.output, "", result.seconds, result.changed, result.pixels, result.finished)
        return Outcome(scene.output, error)
