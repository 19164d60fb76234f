"""`cdzoo train`."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cdzoo.cli.common import model_source, pick_device
from cdzoo.engine.config import FREE_ON_RESUME
from cdzoo.errors import CdzooError, ConfigError, InputError, TrainingStopped
from cdzoo.imports import import_kept, keep_imports
from cdzoo.io.files import write_json, write_text
from cdzoo.io.plain_yaml import load_yaml
from cdzoo.recipes import recipe_path

if TYPE_CHECKING:
    from cdzoo.config import ModelOptions
    from cdzoo.data.open import DataCfg
    from cdzoo.engine.config import TrainCfg

RUN_FILE = "run.yaml"
STOPPED = 75
"""Exit code of a run that a signal stopped and that can be resumed (EX_TEMPFAIL of sysexits.h)."""


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
) -> int:
    """Train a model on pairs of images. Options can also be given as key=value; later ones take precedence.

    Args:
        model: Model.
        data: Data.
        cfg: Training.
        out: Folder of the run; runs/MODEL by default.
        overwrite: Replace an existing run in --out.
        recipe: Training recipe, or YAML file; cdzoo list --kind recipe shows them.
        init: Weights to start from; a tag (MODEL.TAG), the folder of a run, or hf-hub:owner/name. --model is theirs by default.
        resume: Folder of a run to continue; from its last checkpoint.
        seeds: Train once per seed; each in a separate folder.
    """
    from cdzoo.engine.checkpoint import list_checkpoints
    from cdzoo.engine.fit import run_lock
    from cdzoo.engine.launch import is_leader
    from cdzoo.engine.run import run_training
    from cdzoo.metrics import spread, spread_table

    leader = is_leader()
    folder = Path(resume or out or f"runs/{Path(model.model_name).name}")
    if seeds is not None and (len(seeds) < 2 or len(set(seeds)) < len(seeds)):
        raise ConfigError(f"--seeds needs two different seeds or more, got {seeds}; for a single one, use --seed")
    if resume is not None and (out is not None or overwrite):
        raise ConfigError("--resume continues in the folder of the run: leave --out and --overwrite out")
    pick_device(cfg.device)
    if resume is not None:
        import_kept(folder)
    else:
        sources = {"--init": init, "--model": model.model_name, "--data": data.data, "--pairs": data.pairs, "--val": data.val}
        sources |= {"--labeled": data.labeled, "--unlabeled": data.unlabeled}
        sources |= {"--before": data.before, "--after": data.after, "--mask": data.mask, "--aoi": data.aoi}
        files = {"--checkpoint-path": model.checkpoint_path, "--backbone-weights": model.backbone_weights}
        _check_sources(folder, {**sources, **files})
    runs = [(folder, cfg)] if seeds is None else [(folder / f"seed_{n}", dataclasses.replace(cfg, seed=n)) for n in seeds]
    options = {"model": model.model_name, "recipe": recipe, "init": init, "seeds": seeds}
    model = dataclasses.replace(model, model_name=model_source(model.model_name))
    init = None if init is None else model_source(init)
    report: Callable[[str], None] = functools.partial(print, flush=True) if leader else lambda line: None
    scores = []
    with run_lock(folder):
        new = leader and _check_folder(folder, overwrite, resume is not None)
        if leader:
            _write_run(folder / RUN_FILE, cfg, None if resume else (options, model, data))
            if resume is None:
                keep_imports(folder)
        try:
            for run, settings in runs:
                again = resume is not None and bool(list_checkpoints(run))
                if resume is not None and not again:
                    report(f"{run}: no training state yet, so the run starts at its beginning")
                _, results = run_training(model, data, settings, run, again, report, init)
                scores.append(results.scores)
        except TrainingStopped as stopped:
            if leader:
                print(f"cdzoo: {stopped}", file=sys.stderr)
            return STOPPED
        except CdzooError:
            if new and not any(folder.rglob("step_*")):  # no checkpoint to resume from: the same command can be run again
                shutil.rmtree(folder)
            raise
        if leader and seeds is not None:
            write_json(folder / "seeds.json", {"seeds": seeds, "scores": spread(scores)})
            print(spread_table("validation", scores))
    report(f"written to {folder}; evaluate with: cdzoo eval --model {folder} {data.options} --split test")
    return 0


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


def _check_sources(folder: Path, sources: dict[str, str | None]) -> None:
    """Raise `InputError` if a run would overwrite what it starts from."""
    out = folder.resolve()
    for option, source in sources.items():
        path = Path((source or "").removeprefix("local-dir:")).resolve()
        if source and path.exists() and (path == out or out in path.parents):
            raise InputError(f"{option} {source}: is in the folder of the run, {folder}; choose another --out")


def _check_folder(folder: Path, overwrite: bool, resume: bool) -> bool:
    """Return whether a folder is empty.

    A run that was killed before its first training state may be started again with the same command.

    Raises:
        InputError: It must not be written to, or contains no run to resume.
    """
    from cdzoo.weights.folder import WEIGHTS_FILE

    used = any(not path.name.startswith(".") for path in folder.iterdir())
    trained = any(path for name in ("step_*", WEIGHTS_FILE) for path in folder.rglob(name))
    if resume and not any(folder.rglob("step_*")) and trained:
        raise InputError(
            f"--resume {folder}: there are weights but no training state to resume from; start a run with another --out"
        )
    if used and not overwrite and not resume and (trained or not (folder / RUN_FILE).is_file()):
        raise InputError(f"{folder}: already exists; resume with --resume {folder}, choose another --out, or pass --overwrite")
    return not used


def _write_run(file: Path, cfg: TrainCfg, described: tuple[dict[str, Any], ModelOptions, DataCfg] | None) -> None:
    """Write the options of a run, which --resume and --config read; of a resumed one (None), those that may change."""
    if described is None:
        values = load_yaml(file.read_text(encoding="utf-8"))
        values |= {name: getattr(cfg, name) for name in FREE_ON_RESUME}
    else:
        values, model, data = described
        for config in (model, data, cfg):
            values |= {name: value for name, value in dataclasses.asdict(config).items() if name != "model_name"}
    kept = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v not in (None, (), "")}
    write_text(file, yaml.safe_dump(kept, sort_keys=False))
