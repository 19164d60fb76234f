"""Training runs of a grid in parallel processes; runs with a result are skipped."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from cdzoo.ablate.grid import Grid, Job
from cdzoo.errors import CdzooError, ConfigError, InputError, require
from cdzoo.imports import import_file, imported_files
from cdzoo.io.outputs import exclusive
from cdzoo.results import Results

RUNS = "runs"
_UNFINISHED = "unfinished"


def run_grid(
    grid: Grid, out: str | Path, processes: int = 1, report: Callable[[str], None] = print, labels: str = "*"
) -> list[str]:
    """Train all runs of the grid that have no result yet.

    Results are `out/runs/KEY.json`, written when a run is complete. An interrupted run is resumed from its last epoch by the next
    call. The runs are distributed over the GPUs, or share the cores of the CPU.

    Args:
        grid: Grid.
        out: Folder of the results.
        processes: Number of parallel runs.
        report: Called with a line for each run that ends or fails.
        labels: Pattern of the labels of the rows to train, see `Grid.jobs`.

    Returns:
        One line per failed run; a failure does not stop the other runs.

    Raises:
        ConfigError: `processes` is not positive, or no row has such a label.
        InputError: `out` is a file, or another command writes there.
        MissingDependencyError: A package that the training or the report needs is not installed.
    """
    if processes < 1:
        raise ConfigError(f"the number of processes must be at least 1, got {processes}")
    require("lightning.fabric", "train", "training")
    require("tqdm", "train", "training")
    require("matplotlib.figure", "tools", "drawing tables")
    jobs = grid.jobs(labels)
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{out}: is a file; choose a folder")
    (folder / RUNS).mkdir(parents=True, exist_ok=True)
    with exclusive(folder):
        return _run_missing(grid, jobs, folder, processes, report)


def _run_missing(grid: Grid, jobs: list[Job], out: Path, processes: int, report: Callable[[str], None]) -> list[str]:
    """Train the runs without a result; see `run_grid`."""
    missing = [job for job in jobs if not result_file(out, job).is_file()]
    report(f"{grid.title}: {len(jobs)} runs, {len(jobs) - len(missing)} of them complete")
    failures: list[str] = []
    start = time.monotonic()
    # Inherited by the processes, which read it when they load OpenMP: spinning threads would occupy the cores of other runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # New processes: CUDA and thread pools do not survive a fork.
    context = multiprocessing.get_context("spawn")
    slots = context.Queue()
    for slot in range(processes):
        slots.put(slot)
    with ProcessPoolExecutor(processes, context, _prepare, (slots, processes, _gpus(), imported_files())) as pool:
        submitted = {pool.submit(run_job, job, str(out)): job for job in missing}
        try:
            for done, future in enumerate(as_completed(submitted), 1):
                job = submitted[future]
                left = (time.monotonic() - start) / done * (len(missing) - done)
                try:
                    f1 = future.result().scores.f1
                    report(f"[{done}/{len(missing)}] {job.key}: F1 {100 * f1:.2f}, {left / 60:.0f} min left")
                except Exception as error:
                    failures.append(f"{job.key}: {error}")
                    report(f"[{done}/{len(missing)}] {job.key} failed: {error}")
        except KeyboardInterrupt:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            raise
    return failures


def result_file(out: str | Path, job: Job) -> Path:
    """Return the path of the result of a run."""
    return Path(out) / RUNS / f"{job.key}.json"


def run_job(job: Job, out: str) -> Results:
    """Train a model, score it on the test split, and write the result."""
    import torch

    from cdzoo.data.open import DataCfg
    from cdzoo.engine.run import run_training, score_model
    from cdzoo.factory import create_model

    folder = Path(out) / _UNFINISHED / job.key
    data = DataCfg(job.data, job.protocol)
    resume = folder.is_dir() and any(folder.rglob("step_*"))
    if folder.is_dir() and not resume:
        shutil.rmtree(folder)
    start = time.monotonic()
    _, validation = run_training(job.model_options, data, job.train_cfg, folder, resume)
    seconds = time.monotonic() - start
    model = create_model(f"local-dir:{folder}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    entries = {
        "job": job.to_dict(),
        "config": model.config.to_dict(),
        "training": dataclasses.asdict(job.train_cfg),
        "validation": validation.scores.to_dict(),
        "params_m": sum(model.parameter_counts().values()) / 1e6,
        "training_seconds": None if resume else round(seconds, 1),
    }
    threshold = validation.scores.best_threshold if job.threshold == "validation" else None
    result = score_model(model, str(folder), data, "test", device, threshold=threshold)
    result = result.with_entries({"source": job.model, **entries})
    result.write(result_file(out, job))
    shutil.rmtree(folder)
    return result


def read_result(out: str | Path, job: Job) -> Results | None:
    """Return the result of a run; None if there is none yet.

    Raises:
        CdzooError: The file is damaged.
    """
    file = result_file(out, job)
    if not file.is_file():
        return None
    try:
        return Results.read(file)
    except InputError as error:
        raise CdzooError(f"{error}: the file is damaged; remove it and run again") from error


def _gpus() -> list[str]:
    """Return the name of each GPU in `CUDA_VISIBLE_DEVICES`."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(index) for index in range(torch.cuda.device_count())]


def _prepare(slots: Any, processes: int, gpus: list[str], imports: list[Path]) -> None:
    """Assign threads and a GPU to this process, and import the files with the components of the grid."""
    import torch

    slot = slots.get()
    torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) // processes)))
    if gpus:  # takes effect as long as CUDA has not been used
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    threading.Thread(target=_exit_with, args=(os.getppid(),), daemon=True).start()
    for file in imports:
        import_file(file)


def _exit_with(parent: int) -> None:
    """End this process when its parent has ended: a killed parent cannot stop its runs."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
