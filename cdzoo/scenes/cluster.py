"""Lists of scenes, predicted by the workers of a Ray cluster, on one machine or several."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cdzoo.errors import CdzooError, InputError, require
from cdzoo.inference.model import PairModel
from cdzoo.scenes.config import PolygonCfg, SceneCfg
from cdzoo.scenes.image_cache import CacheCfg
from cdzoo.scenes.many import MAX_TRIES, Outcome, Scene, Worker
from cdzoo.scenes.trained import TrainedOptions

_PATIENCE = 600.0  # seconds in which a worker must start if none has a scene
_BUSY = 120.0  # seconds in which a lost worker ends, if it still runs
_MAX_LOST = 10  # workers in a row that are lost before they are ready


@dataclass
class _Task:
    """Scene, and the number of workers that were lost with it."""

    scene: Scene
    lost: int = 0


class _RayWorker:
    """`Worker` in a process of Ray."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments

    def load(self) -> None:
        """Load the model. In a method, so that its error is raised as it is."""
        self._worker = Worker(*self._arguments)

    def predict(self, scene: Scene, patience: float) -> Outcome:
        """Predict a scene, see `Worker.predict`."""
        return self._worker.predict(scene, patience)


def predict_on_ray(
    load: Callable[[], PairModel],
    scenes: list[Scene],
    cfg: SceneCfg,
    polygon_cfg: PolygonCfg | None = None,
    address: str | None = None,
    workers: int | None = None,
    gpus: float = 0.0,
    cores: float = 1.0,
    cache: CacheCfg | None = None,
    trained: TrainedOptions | None = None,
) -> Iterator[Outcome]:
    """Predict scenes with Ray, on this machine or a cluster, and yield their results as scenes are completed.

    A worker has one scene at a time. If it or its machine is lost, another worker takes the scene and resumes from the last
    stored block, up to `MAX_TRIES` times; a new worker is started where there is room. Local files must have the same paths on
    all machines.

    Args:
        load: Function that returns the model, on its device; each worker calls it once.
        scenes: Scenes, distributed one by one.
        cfg: Settings of all scenes.
        polygon_cfg: Post-processing of the polygons.
        address: Address of a running cluster, such as `ray://head:10001`; None starts Ray on this machine.
        workers: Number of workers; by default as many as the machines have room for.
        gpus: GPUs per worker.
        cores: CPU cores per worker; fewer if no machine has as many, or `workers` would not have room.
        cache: Folder for copies of remote images, which each machine has for itself.
        trained: Ranges and bands of the training, for scenes to which they apply if `cfg` has none.

    Raises:
        InputError: The cluster cannot be reached, or no worker starts.
        MissingDependencyError: Ray is not installed.
    """
    ray = require("ray", "geo,ray", "predicting on several machines")
    try:
        # Without "local", Ray would join a cluster that someone else runs on this machine, and end with it.
        ray.init(address=address or "local", log_to_driver=False, **({} if address else {"ignore_reinit_error": True}))
    except (ConnectionError, TimeoutError, ValueError) as error:
        raise InputError(f"--ray {address}: no connection to the cluster ({error})") from error
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores = _cores(cores, [resources.get("CPU", 0.0) for resources in machines], 0 if gpus else workers or 0)
    room = [int(found.get("GPU", 0.0) // gpus if gpus else found.get("CPU", 0.0) // cores) for found in machines]
    count = max(1, min(workers or sum(room), len(scenes)))
    options = {"num_cpus": cores, "num_gpus": gpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
    kind = ray.remote(**options)(_RayWorker)
    arguments = (load, dataclasses.replace(cfg, progress=False), polygon_cfg, cache, trained)
    pool = _Pool(ray, lambda: kind.remote(*arguments), f"{cores:g} CPU cores and {gpus:g} GPUs")
    try:
        yield from pool.predict(scenes, count)
    except ConnectionError as error:
        raise InputError(
            f"the connection to the cluster was lost ({error}); run the same command again, which skips scenes that are finished"
        ) from error
    finally:
        pool.end()


def _cores(wanted: float, machines: list[float], workers: int) -> float:
    """Return the cores of each worker, as many as wanted where machines with these cores have room for a number of workers."""
    least = [max(machines, default=wanted) or wanted] + ([sum(machines) / workers] if workers else [])
    cores = min(wanted, *(number for number in least if number))
    return float(int(cores)) if cores >= 1 else round(cores, 2)  # Ray takes no fractions above one


class _Pool:
    """Workers, each of which loads the model or predicts a scene."""

    def __init__(self, ray: Any, start: Callable[[], Any], needs: str) -> None:
        self._ray, self._start, self._needs = ray, start, needs
        self._running: dict[Any, tuple[Any, _Task | None]] = {}  # worker and scene by the reference of the result
        self._lost = 0  # in a row, before they were ready

    def predict(self, scenes: list[Scene], count: int) -> Iterator[Outcome]:
        """Yield the results of scenes by a number of workers."""
        tasks = deque(_Task(scene) for scene in scenes)
        left = len(tasks)
        self._add(count)
        while left:
            reference = self._next()
            worker, task = self._running.pop(reference)
            try:
                outcome = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                raise _cause(error) from error
            except self._ray.exceptions.RayError as error:  # the worker or its machine is lost
                if task is None:
                    self._lost += 1
                else:
                    task.lost += 1
                    if task.lost < MAX_TRIES:
                        tasks.appendleft(task)
                    else:
                        left -= 1
                        yield Outcome(task.scene.output, f"{task.lost} workers were lost ({_reason(error)})", lost=task.lost)
                self._add(min(1, left - len(self._running)))
                continue
            self._lost = 0
            if task is not None:
                left -= 1
                yield dataclasses.replace(outcome, lost=task.lost)
            if tasks:
                following = tasks.popleft()
                patience = _BUSY if following.lost else 0.0
                self._running[worker.predict.remote(following.scene, patience)] = worker, following
            else:
                self._ray.kill(worker)

    def end(self) -> None:
        """End all workers."""
        for worker, _ in self._running.values():
            with suppress(Exception):  # the connection may be lost
                self._ray.kill(worker)

    def _add(self, count: int) -> None:
        for _ in range(count):
            worker = self._start()
            self._running[worker.load.remote()] = worker, None

    def _next(self) -> Any:
        """Return the reference of a result that is ready."""
        if self._lost > _MAX_LOST:
            raise InputError(f"{self._lost} workers in a row were lost before they had loaded the model; see the log of Ray")
        while True:
            ready, _ = self._ray.wait([*self._running], num_returns=1, timeout=_PATIENCE)
            if ready:
                return ready[0]
            if all(task is None for _, task in self._running.values()):
                raise InputError(f"no worker started in {_PATIENCE:g} s; the cluster has no machine with {self._needs} free")


def _cause(error: Any) -> Exception:
    """Return why a worker could not load the model."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, CdzooError) else InputError(f"a worker could not load the model: {_reason(error)}")


def _reason(error: BaseException) -> str:
    """Return the first or, of a traceback, the last line of a message of Ray."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1 if "Traceback" in str(error) else 0][:300]
