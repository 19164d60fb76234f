"""`cdzoo train`."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cdzoo.cli.common import model_source, pick_device
from cdzoo.errors import CdzooError, ConfigError, InputError
from cdzoo.imports import import_kept, keep_imports
from cdzoo.io.files import write_json, write_text
from cdzoo.recipes import recipe_path

if TYPE_CHECKING:
    from cdzoo.config import ModelOptions
    from cdzoo.data.open import DataCfg
    from cdzoo.engine.config import TrainCfg

RUN_FILE = "run.yaml"


def train(
    *,
    model: ModelOptions,
    data: DataCfg,
    cfg: TrainCfg,
    out: str | None = None,
    overwrite: bool = False,
    recipe: str | None = None,
    init: str | None = None,
    resume: str | None = None,
    seeds: list[int] | None = None,
) -> None:
    """Train a model on pairs of images. Options can also be given as key=value; later ones take precedence.

    Args:
        model: Model.
        data: Data.
        cfg: Training.
        out: Folder of the run; runs/MODEL by default.
        overwrite: Replace an existing run in --out.
        recipe: Training recipe (cdzoo list --kind recipe), or a YAML file.
        init: Weights to start from: a tag (MODEL.TAG), the folder of a run, or hf-hub:owner/name; --model is theirs by default.
        resume: Folder of a run to continue from its last checkpoint.
        seeds: Train once per seed, each in a separate folder.
    """
    leader = os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"
    folder = Path(resume or out or f"runs/{Path(model.model_name).name}")
    if seeds is not None and (len(seeds) < 2 or len(set(seeds)) < len(seeds)):
        raise ConfigError(f"--seeds needs two different seeds or more, got {seeds}; for a single one, use --seed")
    pick_device(cfg.device)
    new = leader and _check_folder(folder, overwrite, resume is not None)
    if leader and resume is None:
        _write_run(folder / RUN_FILE, model, data, cfg, recipe=recipe, init=init, seeds=seeds)
        keep_imports(folder)
    if resume is not None:
        import_kept(folder)
    from cdzoo.engine.run import run_training
    from cdzoo.metrics import spread, spread_table

    model = dataclasses.replace(model, model_name=model_source(model.model_name))
    init = None if init is None else model_source(init)
    runs = [(folder, cfg)] if seeds is None else [(folder / f"seed_{n}", dataclasses.replace(cfg, seed=n)) for n in seeds]
    report = functools.partial(print, flush=True) if leader else lambda line: None
    scores = []
    try:
        for run, settings in runs:
            again = resume is not None and (seeds is None or (run / "checkpoints").is_dir())
            _, results = run_training(model, data, settings, run, again, report, init)
            scores.append(results.scores)
    except CdzooError:
        if new and not any(folder.rglob("step_*")):  # no checkpoint to resume from: the same command can be run again
            shutil.rmtree(folder)
        raise
    if leader and seeds is not None:
        write_json(folder / "seeds.json", {"seeds": seeds, "scores": spread(scores)})
        print(spread_table("validation", scores))
    if leader:
        print(f"written to {folder}; evaluate with: cdzoo eval --model {folder} --data {data.data} --split test")


def expand(words: list[str]) -> list[str]:
    """Rewrite `key=value`, `--recipe` and `--resume` of `cdzoo train` as options and config files; later options take precedence.

    With `--init` alone, the model is that of the weights.

    Raises:
        InputError: The folder to resume contains no run.
        UnknownNameError: The recipe does not exist.
    """
    words = [f"--{word}" if re.match(r"[a-z_][a-z0-9_.\-]*=", word) else word for word in words]
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("--recipe", "--resume", "--init", "--model", "--config"):
        first.add_argument(option, nargs="?")
    given, _ = first.parse_known_args(words)
    files: list[str] = []
    if given.recipe is not None:
        files += ["--config", str(recipe_path(given.recipe))]
    if given.resume is not None:
        run = Path(given.resume) / RUN_FILE
        if not run.is_file():
            raise InputError(f"--resume {given.resume}: the folder contains no {RUN_FILE}, so there is no run to resume")
        files += ["--config", str(run)]
    if given.init is not None and not files and given.model is given.config is None:
        words = ["--model", given.init, *words]
    return [*files, *words]


def _check_folder(folder: Path, overwrite: bool, resume: bool) -> bool:
    """Return whether a folder is new.

    Raises:
        InputError: It must not be written to, or contains no run to resume.
    """
    used = folder.is_dir() and any(folder.iterdir())
    if resume and not used:
        raise InputError(f"--resume {folder}: there is no run in that folder")
    if used and not overwrite and not resume:
        raise InputError(f"{folder}: already exists; resume with --resume {folder}, choose another --out, or pass --overwrite")
    return not used


def _write_run(file: Path, model: ModelOptions, data: DataCfg, cfg: TrainCfg, **options: Any) -> None:
    """Write the options of a run, which --resume and --config read."""
    values = {"model": model.model_name, **options}
    for config in (model, data, cfg):
        values |= {name: value for name, value in dataclasses.asdict(config).items() if name != "model_name"}
    kept = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v not in (None, ())}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, yaml.safe_dump(kept, sort_keys=False))
