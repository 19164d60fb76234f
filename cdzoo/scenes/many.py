"""Lists of scenes, predicted one after the other; `cluster.py` distributes them."""

from __future__ import annotations

import csv
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdzoo.errors import CdzooError, InputError
from cdzoo.inference.model import PairModel
from cdzoo.io.band_files import is_several, one_raster, several_files
from cdzoo.io.inputs import existing_file
from cdzoo.io.objects import is_remote
from cdzoo.io.outputs import BusyError, file_identity
from cdzoo.scenes.area import Area, scene_area
from cdzoo.scenes.config import PolygonCfg, SceneCfg
from cdzoo.scenes.footprints import table_of
from cdzoo.scenes.image_cache import CacheCfg, ImageCache
from cdzoo.scenes.inputs import input_files
from cdzoo.scenes.outputs import writing
from cdzoo.scenes.predict import predict_scene
from cdzoo.scenes.trained import TrainedOptions, with_trained

REQUIRED = ("before", "after", "output")
OPTIONS = ("footprint_layer", "aoi_layer", "bbox")
"""Columns of values that are no paths."""
MAX_TRIES = 3
_IMAGES = ("before", "after", "mask_before", "mask_after")
_INPUTS = (*_IMAGES, "footprints", "aoi")
_WAIT = 1.0  # seconds between tries to write an output that a lost worker may still write


@dataclass(frozen=True)
class Scene:
    """Paths and part of one scene, see `predict_scene`; None for what is not requested.

    `aoi`, `aoi_layer` and `bbox`, four numbers as text, are as for `scene_area`.
    """

    before: str
    after: str
    output: str
    probability: str | None = None
    polygons: str | None = None
    report: str | None = None
    mask_before: str | None = None
    mask_after: str | None = None
    footprints: str | None = None
    footprint_output: str | None = None
    footprint_layer: str | None = None
    aoi: str | None = None
    aoi_layer: str | None = None
    bbox: str | None = None

    @property
    def outputs(self) -> list[Path]:
        """Files that are written."""
        table = table_of(self.output, self.footprints, self.footprint_output)
        return [Path(file) for file in (self.output, self.probability, self.polygons, self.report, table) if file is not None]

    @property
    def area(self) -> Area | None:
        """Part of the scene; None for all of it.

        Raises:
            InputError: As for `scene_area`, or the rectangle is not four numbers.
        """
        if self.aoi is None and self.bbox is None:
            return None
        with ExitStack() as stack:
            first = self.before if is_remote(self.before) else stack.enter_context(one_raster(self.before))
            return scene_area(first, None if self.bbox is None else _numbers(self.bbox), self.aoi, self.aoi_layer)


COLUMNS = tuple(field.name for field in dataclasses.fields(Scene))
"""Columns of a list of scenes."""


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
        lost: Number of workers that were lost while they predicted it.
        trained: Options that it has from the training of the model, as text.
    """

    output: str
    error: str = ""
    seconds: float = 0.0
    changed: int = 0
    pixels: int = 0
    finished: bool = False
    lost: int = 0
    trained: str = ""


def read_manifest(path: str | Path, of_all: Mapping[str, str | None] | None = None) -> tuple[list[Scene], list[str]]:
    """Read a list of scenes: a CSV file with the columns `before`, `after`, `output`, and optionally the other `COLUMNS`.

    Relative paths are relative to the folder of the file.

    Args:
        path: The file.
        of_all: Values of columns for the scenes that have none, such as `footprints`.

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
        for name in _IMAGES:
            for image in _files_of(line[name]) if name in line else ():
                taken.setdefault(file_identity(image), f"an image of line {number}")
        for name in ("footprints", "aoi"):
            if name in line:
                taken.setdefault(file_identity(line[name]), f"a file that line {number} reads")
    for number, line in lines:
        problem = _problem(line)
        outputs = {name: line[name] for name in COLUMNS if name in line and name not in (*_INPUTS, *OPTIONS)}
        for name, value in outputs.items() if not problem else ():
            other = taken.setdefault(file_identity(value), f"an output of line {number}, {name}")
            if other != f"an output of line {number}, {name}":
                problem = f"{value} is {other.partition(',')[0]} as well; choose another file"
                break
        if problem:
            problems.append(f"{file}, line {number}: {problem}")
        else:
            values: dict[str, Any] = {**(of_all or {}), **line}
            scenes.append(Scene(**values))
    if not scenes:
        raise InputError("; ".join(problems[:3]) if problems else f"{file}: the list has no scenes")
    return scenes, problems


def _files_of(image: str) -> list[Path]:
    """Return the files of an image: of a folder of bands, or a pattern of them, each; none of a remote one."""
    return [] if is_remote(image) else [file for one in several_files(image) for file in input_files(one)]


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
        stated = {name.strip(): value.strip() for name, value in line.items() if value and value.strip()}
        values = {name: _located(file.parent, name, value) for name, value in stated.items()}
        found.append((number, values | ({"": ", ".join(beyond)} if beyond else {})))
    return found


def _located(folder: Path, name: str, value: str) -> str:
    """Return the value of a column, with paths relative to the folder of the list."""
    return value if name in OPTIONS or is_remote(value) else str(folder / value)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        left, bottom, right, top = (float(number) for number in text.replace(",", " ").split())
    except ValueError as error:
        raise InputError(f"bbox {text}: not four numbers; pass LEFT BOTTOM RIGHT TOP") from error
    return left, bottom, right, top


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
            if name in line and not (is_remote(line[name]) or (name in REQUIRED and is_several(line[name]))):
                existing_file(line[name])
        except InputError as error:
            return str(error)
    return ""


def predict_scenes(
    load: Callable[[], PairModel],
    scenes: Iterable[Scene],
    cfg: SceneCfg,
    polygon_cfg: PolygonCfg | None = None,
    cache: CacheCfg | None = None,
    trained: TrainedOptions | None = None,
) -> Iterator[Outcome]:
    """Predict scenes one after the other and yield their results; the error of a scene is in its result.

    Args:
        load: Function that returns the model, on its device.
        scenes: Scenes.
        cfg: Settings of all scenes.
        polygon_cfg: Post-processing of the polygons.
        cache: Folder for copies of remote images.
        trained: Ranges and bands of the training, for scenes to which they apply if `cfg` has none.
    """
    worker = Worker(load, cfg, polygon_cfg, cache, trained)
    for scene in scenes:
        yield worker.predict(scene)


class Worker:
    """Predicts scenes with one model.

    Args:
        load: Function that returns the model, on its device.
        cfg: Settings of all scenes.
        polygon_cfg: Post-processing of the polygons.
        cache: Folder for copies of remote images, on this machine.
        trained: Ranges and bands of the training, for scenes to which they apply if `cfg` has none.
    """

    def __init__(
        self,
        load: Callable[[], PairModel],
        cfg: SceneCfg,
        polygon_cfg: PolygonCfg | None = None,
        cache: CacheCfg | None = None,
        trained: TrainedOptions | None = None,
    ) -> None:
        self.model, self.cfg, self.polygon_cfg, self.cache = load(), cfg, polygon_cfg, cache or CacheCfg()
        self.trained = trained or TrainedOptions()

    def predict(self, scene: Scene, patience: float = 0.0) -> Outcome:
        """Predict a scene unless it is finished; no error of a scene ends the list.

        There are up to `MAX_TRIES` tries after errors that may pass, such as those of a file system.

        Args:
            scene: The scene.
            patience: Seconds to wait for another process that writes the same outputs.
        """
        error, start, tries = "", time.monotonic(), 0
        while tries < MAX_TRIES:
            tries += 1
            try:
                for file in scene.outputs:
                    with writing(file.parent):
                        file.parent.mkdir(parents=True, exist_ok=True)
                cfg, text = with_trained(self.cfg, self.trained, scene.before)
                options: dict[str, Any] = {**dataclasses.asdict(scene), "skip_finished": True, "area": scene.area}
                options = {name: value for name, value in options.items() if name not in ("aoi", "aoi_layer", "bbox")}
                if is_remote(scene.before) or is_remote(scene.after):
                    options["cache"] = ImageCache(self.cache.folder, self.cache.gigabytes)
                result = predict_scene(self.model, cfg=cfg, polygon_cfg=self.polygon_cfg, **options)
            except BusyError as reason:
                if time.monotonic() - start > patience:
                    return Outcome(scene.output, str(reason))
                tries -= 1
                time.sleep(_WAIT)
            except CdzooError as reason:
                return Outcome(scene.output, str(reason))
            except Exception as reason:
                error = f"{type(reason).__name__}: {reason}"
                if not isinstance(reason, OSError | RuntimeError):
                    break
            else:
                changed, pixels = result.changed, result.pixels
                return Outcome(scene.output, "", result.seconds, changed, pixels, result.finished, trained=text)
        return Outcome(scene.output, error)
