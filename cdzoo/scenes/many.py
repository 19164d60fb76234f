"""Many scenes: a list of them, predicted one after the other or by the workers of a Ray cluster."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdzoo.errors import CdzooError, InputError, MissingDependencyError
from cdzoo.scenes.polygons import PolygonCfg
from cdzoo.scenes.predict import SceneCfg, predict_scene

COLUMNS = ("before", "after", "output", "probability", "polygons", "report")
REQUIRED = COLUMNS[:3]
TRIES = 3


@dataclass(frozen=True)
class Scene:
    """One line of a manifest; paths as `predict_scene` takes them, None for what is not written."""

    before: str
    after: str
    output: str
    probability: str | None = None
    polygons: str | None = None
    report: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a scene: `error` is empty when its map is there."""

    output: str
    error: str = ""
    seconds: float = 0.0
    changed: int = 0
    pixels: int = 0


def read_manifest(path: str | Path) -> list[Scene]:
    """Read a CSV file with the columns `before`, `after`, `output`, and if wanted `probability`, `polygons` and `report`.

    Paths that are not absolute are taken from the folder of the file.

    Raises:
        InputError: The file cannot be read, has other columns, lacks a value, names an output twice or a file that is not there;
            the line is named.
    """
    file = Path(path)
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened)
            lines, names = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read as a list of scenes ({error})") from error
    if missing := [name for name in REQUIRED if name not in names]:
        raise InputError(f"{file}: the column(s) {', '.join(missing)} are missing; there are: {', '.join(names) or 'none'}")
    if unknown := [name for name in names if name not in COLUMNS]:
        raise InputError(f"{file}: unknown column(s) {', '.join(unknown)}; a list of scenes has {', '.join(COLUMNS)}")
    scenes: list[Scene] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 2):
        values = {name: str(file.parent / value.strip()) for name, value in line.items() if value and value.strip()}
        if lacking := [name for name in REQUIRED if name not in values]:
            raise InputError(f"{file}, line {number}: no {' and no '.join(lacking)}")
        for name in ("before", "after"):
            if not Path(values[name]).is_file():
                raise InputError(f"{file}, line {number}: {values[name]}: no such file")
        for name in COLUMNS[2:]:
            if name in values and seen.setdefault(values[name], number) != number:
                raise InputError(f"{file}, line {number}: {values[name]} is written by line {seen[values[name]]} already")
        scenes.append(Scene(**values))
    if not scenes:
        raise InputError(f"{file}: there is no scene in it")
    return scenes


def unfinished(scenes: Iterable[Scene]) -> list[Scene]:
    """Return the scenes of which an output is missing; outputs appear only when they are complete."""
    return [scene for scene in scenes if not all(Path(file).is_file() for file in _outputs(scene))]


def predict_scenes(
    load: Callable[[], Any],
    scenes: Iterable[Scene],
    cfg: SceneCfg,
    cleaning: PolygonCfg | None = None,
) -> Iterator[Outcome]:
    """Predict scenes one after the other and yield what became of each; one that fails is tried again, then left.

    Args:
        load: Makes the model, on its device.
        scenes: The scenes.
        cfg: Settings of all of them.
        cleaning: How polygons are cleaned.
    """
    worker = Worker(load, cfg, cleaning)
    for scene in scenes:
        yield Outcome(**worker(dataclasses.asdict(scene)))


def predict_on_ray(
    load: Callable[[], Any],
    scenes: list[Scene],
    cfg: SceneCfg,
    cleaning: PolygonCfg | None = None,
    address: str | None = None,
    workers: int | None = None,
    gpus: float = 0.0,
    cores: float = 1.0,
) -> Iterator[Outcome]:
    """Predict scenes by workers that each hold the model, on this machine or a Ray cluster; yield what became of each.

    A worker that dies is replaced, and its scene goes on from its last finished part. All machines must see the files under the
    same paths.

    Args:
        load: Makes the model, on its device.
        scenes: The scenes; one is the unit of work.
        cfg: Settings of all of them.
        cleaning: How polygons are cleaned.
        address: Of a running cluster, or None to start Ray here.
        workers: How many; as many as fit by default.
        gpus: GPUs of a worker.
        cores: Cores of a worker.

    Raises:
        MissingDependencyError: Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingDependencyError(f"many machines need Ray: pip install 'cdzoo[geo,ray]' ({error})") from error
    ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, configure_logging=False)
    there = ray.cluster_resources()
    fits = int(there.get("GPU", 0) / gpus) if gpus else int(there.get("CPU", 1) / cores)
    most = max(1, min(workers or fits, len(scenes)))
    # One scene to a block: a block is what is retried and what is waited for.
    data = ray.data.from_items([dataclasses.asdict(scene) for scene in scenes], override_num_blocks=len(scenes))
    outcomes = data.map(
        Worker,
        fn_constructor_args=(load, dataclasses.replace(cfg, progress=False), cleaning),
        compute=ray.data.ActorPoolStrategy(size=most),
        num_cpus=cores,
        num_gpus=gpus,
    )
    for row in outcomes.iter_rows():
        yield Outcome(**row)


class Worker:
    """Holds a model and predicts scenes with it."""

    def __init__(self, load: Callable[[], Any], cfg: SceneCfg, cleaning: PolygonCfg | None) -> None:
        self.model, self.cfg, self.cleaning = load(), cfg, cleaning

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Predict the scene of a row; what cannot be predicted is reported, not raised, so that the others go on."""
        scene = Scene(**row)
        error = ""
        for _ in range(TRIES):
            try:
                for file in _outputs(scene):
                    Path(file).parent.mkdir(parents=True, exist_ok=True)
                result = predict_scene(
                    self.model,
                    scene.before,
                    scene.after,
                    scene.output,
                    self.cfg,
                    scene.probability,
                    scene.polygons,
                    self.cleaning,
                    scene.report,
                )
            except CdzooError as reason:  # bad input stays bad
                error = str(reason)
                break
            except (OSError, RuntimeError) as reason:  # a file system that hiccups, a device that is full for a moment
                error = f"{type(reason).__name__}: {reason}"
                continue
            return dataclasses.asdict(Outcome(scene.output, "", result.seconds, result.changed, result.pixels))
        return dataclasses.asdict(Outcome(scene.output, error))


def _outputs(scene: Scene) -> list[str]:
    return [file for file in (scene.output, scene.probability, scene.polygons, scene.report) if file is not None]
