"""`cdzoo train`."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from cdzoo.cli.common import model_source, pick_device
from cdzoo.config import ModelOptions
from cdzoo.data.open import DataCfg
from cdzoo.engine.config import TrainCfg
from cdzoo.errors import CdzooError, ConfigError, InputError
from cdzoo.io.files import write_json, write_text
from cdzoo.metrics import spread, spread_table
from cdzoo.results import Results

RUN_FILE = "run.yaml"


def train(
    model: ModelOptions,
    data: DataCfg,
    training: TrainCfg,
    out: str | None = None,
    overwrite: bool = False,
    recipe: str | None = None,
    resume: str | None = None,
    seeds: list[int] | None = None,
) -> None:
    """Train a model on pairs of images. Options may be given as key=value.

    Args:
        model: Model.
        data: Data.
        training: Training.
        out: Folder of the run; runs/MODEL by default.
        overwrite: Replace an existing run in --out.
        recipe: Recipe with the settings of a paper (cdzoo list --kind recipe), or a YAML file.
        resume: Folder of a run to continue from its last checkpoint.
        seeds: Train once per seed, in one folder each.
    """
    leader = os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"
    folder = Path(resume or out or f"runs/{Path(model.model_name).name}")
    if seeds is not None and (len(seeds) < 2 or len(set(seeds)) < len(seeds)):
        raise ConfigError(f"--seeds requires two different seeds or more, got {seeds}; for one, use --seed")
    pick_device(training.device)
    new = leader and _check_folder(folder, overwrite, resume is not None)
    if leader and resume is None:
        _write_run(folder, model, data, training, {"recipe": recipe, "seeds": seeds})
    model = dataclasses.replace(model, model_name=model_source(model.model_name))
    try:
        if seeds is None:
            _train_one(model, data, training, folder, resume is not None, leader)
        else:
            _train_seeds(model, data, training, folder, resume is not None, leader, seeds)
    except CdzooError:
        if new and not any(folder.rglob("step_*")):  # nothing to resume from: the same command can be run again
            shutil.rmtree(folder)
        raise


def _train_one(model: ModelOptions, data: DataCfg, cfg: TrainCfg, folder: Path, resume: bool, leader: bool) -> Results:
    from cdzoo.engine.run import run_training

    _, results = run_training(model, data, cfg, folder, resume, _print if leader else lambda line: None)
    if leader:
        print(f"written to {folder}; evaluate it with: cdzoo eval --model {folder} --data {data.data} --split test")
    return results


def _train_seeds(
    model: ModelOptions, data: DataCfg, cfg: TrainCfg, folder: Path, resume: bool, leader: bool, seeds: list[int]
) -> None:
    scores = []
    for seed in seeds:
        run = folder / f"seed_{seed}"
        _print(f"seed {seed}")
        results = _train_one(model, data, dataclasses.replace(cfg, seed=seed), run, resume and _has_checkpoint(run), leader)
        scores.append(results.scores)
    if leader:
        write_json(folder / "seeds.json", {"seeds": seeds, "scores": spread(scores)})
        print(spread_table("validation", scores))


def _has_checkpoint(run: Path) -> bool:
    return (run / "checkpoints").is_dir()


def _check_folder(folder: Path, overwrite: bool, resume: bool) -> bool:
    """Raise `InputError` for a folder that must not be written to; return whether it is new."""
    used = folder.is_dir() and any(folder.iterdir())
    if resume and not used:
        raise InputError(f"--resume {folder}: there is no run in that folder")
    if used and not overwrite and not resume:
        raise InputError(
            f"{folder}: already exists; continue the run with --resume {folder}, choose another --out, or replace it with "
            "--overwrite"
        )
    return not used


def _write_run(folder: Path, model: ModelOptions, data: DataCfg, cfg: TrainCfg, options: dict[str, Any]) -> None:
    """Write the options of a run, which --resume reads."""
    values = {**dataclasses.asdict(model), **dataclasses.asdict(data), **dataclasses.asdict(cfg), **options}
    values = {"model": values.pop("model_name"), **values}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    kept = {name: value for name, value in plain.items() if value is not None and value != []}
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / RUN_FILE, yaml.safe_dump(kept, sort_keys=False))


def _print(line: str) -> None:
    print(line, flush=True)
