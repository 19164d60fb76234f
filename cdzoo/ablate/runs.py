"""Training runs of a grid, side by side; a run whose result exists is not made again."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from cdzoo.ablate.grid import Grid, Job
from cdzoo.errors import CdzooError, ConfigError, InputError
from cdzoo.results import Results

RUNS = "runs"
_WORK = "unfinished"


def run_grid(grid: Grid, out: str | Path, processes: int = 1, say: Callable[[str], None] = print) -> list[str]:
    """Make every run of the grid that has no result yet.

    Results are `out/runs/KEY.json`, written when a run is complete. A run that is interrupted is continued from its last
    epoch the next time. Runs are spread over the GPUs there are, or share the CPU's cores.

    Args:
        grid: What to run.
        out: Folder of the results.
        processes: Runs at the same time.
        say: Takes a line for each run that starts, ends or fails.

    Returns:
        What failed, a line each; all other runs were still made.

    Raises:
        ConfigError: `processes` is not positive.
    """
    if processes < 1:
        raise ConfigError(f"the number of processes must be at least 1, got {processes}")
    folder = Path(out) / RUNS
    folder.mkdir(parents=True, exist_ok=True)
    jobs = grid.jobs()
    missing = [job for job in jobs if not result_file(out, job).is_file()]
    say(f"{grid.title}: {len(jobs)} runs, {len(jobs) - len(missing)} of them done before")
    failures: list[str] = []
    start, done = time.monotonic(), 0
    # Inherited, for it is read when a process loads its libraries: threads that spin would take the other runs' cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Fresh processes: CUDA and thread pools do not survive a fork.
    context = multiprocessing.get_context("spawn")
    slots = context.Queue()
    for slot in range(processes):
        slots.put(slot)
    with ProcessPoolExecutor(processes, context, _prepare, (slots, processes, _gpus())) as pool:
        waiting: dict[Future[Results], Job] = {pool.submit(run_job, job, str(out)): job for job in missing}
        try:
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    job = waiting.pop(future)
                    done += 1
                    left = (time.monotonic() - start) / done * (len(missing) - done)
                    try:
                        f1 = future.result().scores.f1
                        say(f"[{done}/{len(missing)}] {job.key}: F1 {100 * f1:.2f}, {left / 60:.0f} min left")
                    except Exception as error:
                        failures.append(f"{job.key}: {error}")
                        say(f"[{done}/{len(missing)}] {job.key} failed: {error}")
        except KeyboardInterrupt:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            raise
    return failures


def result_file(out: str | Path, job: Job) -> Path:
    """Return where the result of a run is or will be."""
    return Path(out) / RUNS / f"{job.key}.json"


def run_job(job: Job, out: str) -> Results:
    """Train, evaluate on the test split, and write the results."""
    import torch

    from cdzoo.config import ModelOptions
    from cdzoo.data.open import DataCfg
    from cdzoo.engine.config import TrainCfg
    from cdzoo.engine.run import run_training, score_model

    folder = Path(out) / _WORK / job.key
    cfg = TrainCfg(**job.train, seed=job.seed, progress=False)
    data = DataCfg(job.data, job.protocol)
    resume = folder.is_dir() and any(folder.rglob("step_*"))
    if folder.is_dir() and not resume:
        shutil.rmtree(folder)
    start = time.monotonic()
    model, validation = run_training(ModelOptions(job.model, **job.parts), data, cfg, folder, resume)
    seconds = time.monotonic() - start
    results = score_model(model, job.model, data, "test", torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    results.training = dataclasses.asdict(cfg)
    results.extra |= {
        "job": dataclasses.asdict(job),
        "config": model.config.to_dict(),
        "validation": validation.scores.to_dict(),
        "params_m": sum(model.parameter_counts().values()) / 1e6,
        "training_seconds": None if resume else round(seconds, 1),
    }
    results.write(result_file(out, job))
    shutil.rmtree(folder)
    return results


def read_result(out: str | Path, job: Job) -> Results | None:
    """Return the results of a run, or None if it is not finished.

    Raises:
        CdzooError: The file is damaged.
    """
    file = result_file(out, job)
    if not file.is_file():
        return None
    try:
        return Results.read(file)
    except InputError as error:
        raise CdzooError(f"{file} is damaged ({error}): remove it and run again") from error


def _gpus() -> list[str]:
    """Return what CUDA_VISIBLE_DEVICES calls each GPU there is."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(index) for index in range(torch.cuda.device_count())]


def _prepare(slots: Any, processes: int, gpus: list[str]) -> None:
    """Give a process its share of the machine."""
    import torch

    slot = slots.get()
    torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) // processes)))
    if gpus:  # heeded until CUDA is first used
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: one that was killed cannot stop its runs, which would go on for nobody."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
