"""`cdzoo train`."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from pathlib import Path
from typing import Any

import yaml

from cdzoo.cli.build import build_model, pick_device
from cdzoo.cli.inputs import data_cfg
from cdzoo.cli.recipes import RUN_FILE
from cdzoo.engine.config import TrainCfg
from cdzoo.errors import CdzooError, ConfigError, InputError
from cdzoo.io.files import replace_atomically


def run_train(
    model: str,
    out: str | None,
    overwrite: bool,
    resume: str | None,
    seeds: list[int] | None,
    recipe: str | None,
    **options: Any,
) -> None:
    """Train and leave weights, config, scores and logs in `out`; one folder per seed when several are asked for."""
    leader = os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"
    folder = Path(resume or out or f"runs/{Path(model).name}")
    if seeds is not None and (len(seeds) < 2 or len(set(seeds)) < len(seeds)):
        raise ConfigError(f"--seeds takes two different seeds or more, got {seeds}; a single one is --seed")
    fresh = leader and _claim(folder, overwrite, resume is not None)
    if leader and resume is None:
        _write_run(folder / RUN_FILE, {"model": model, "recipe": recipe, "seeds": seeds, **options})
    try:
        _train_all(model, folder, seeds, resume is not None, leader, options)
    except CdzooError:
        if fresh:
            _tidy(folder)
        raise


def _train_all(model: str, folder: Path, seeds: list[int] | None, resume: bool, leader: bool, options: dict[str, Any]) -> None:
    if seeds is None:
        _train_one(model, folder, resume, leader, **options)
        return
    results = {}
    for seed in seeds:
        again = resume and (folder / f"seed_{seed}" / "checkpoints").is_dir()
        print(f"seed {seed}", flush=True)
        results[seed] = _train_one(model, folder / f"seed_{seed}", again, leader, **{**options, "seed": seed})
    if leader:
        from cdzoo.io.files import write_json
        from cdzoo.metrics import spread, spread_table

        write_json(folder / "seeds.json", {"seeds": seeds, "scores": spread(list(results.values()))})
        print(spread_table("validation", list(results.values())))


def _train_one(model: str, folder: Path, resume: bool, leader: bool, **options: Any) -> dict[str, Any]:
    cfg = TrainCfg(**{field.name: options.pop(field.name) for field in dataclasses.fields(TrainCfg)})
    source = data_cfg(options)
    pick_device(cfg.device)

    import torch  # after the cheap checks: this takes seconds

    from cdzoo.data.open import open_data
    from cdzoo.engine.fit import train
    from cdzoo.results import protocol_record

    torch.manual_seed(cfg.seed)  # the weights of a new model are drawn here
    detector = build_model(model, **options)
    opened = open_data(source, ("train", opened_split(source)), detector.config.bands)
    training, selection = opened.splits["train"], opened.splits[opened.protocol.selection_split]
    record = protocol_record(opened.protocol, opened.names)
    if leader:
        size = sum(detector.parameter_counts().values()) / 1e6
        print(f"{detector.config.name} ({size:.2f} M parameters) on {source.data}")
        for note in opened.notes:
            print(f"  {note}")
        print(f"  protocol {opened.protocol} (hash {record['hash']})", flush=True)
    start = time.monotonic()
    facts = {"data": dataclasses.asdict(source), "notes": opened.notes, "protocol": record}
    summary = train(detector, training, selection, cfg, folder, opened.protocol, facts, resume)
    if leader:
        print(f"trained in {time.monotonic() - start:.0f} s; the best weights on the {opened.protocol.selection_split} split:")
        print("  " + "  ".join(f"{name} {summary[name]:.4f}" for name in ("precision", "recall", "f1", "iou", "oa", "kappa")))
        print(f"written to {folder}; judge them with: cdzoo eval --model {folder} --data {source.data} --split test")
    return summary


def opened_split(source: Any) -> str:
    """Return the split on which the weights are chosen under the protocol that `source` names."""
    from cdzoo.data.protocols import get_protocol

    return get_protocol(source.protocol).selection_split


def _claim(folder: Path, overwrite: bool, resume: bool) -> bool:
    """Refuse a folder that must not be written to; return whether it holds nothing yet."""
    used = folder.is_dir() and any(folder.iterdir())
    if resume and not used:
        raise InputError(f"--resume {folder}: there is no run in that folder")
    if used and not overwrite and not resume:
        raise InputError(
            f"{folder}: there is something already; continue it with --resume {folder}, choose another --out, or replace it "
            f"with --overwrite"
        )
    return not used


def _write_run(path: Path, options: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: _plain(value) for name, value in options.items() if value is not None and value != []}
    with replace_atomically(path) as temporary:
        temporary.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")


def _tidy(folder: Path) -> None:
    """Remove what a run in a new folder left when it failed before its first checkpoint, so that it can be started again."""
    if not any(folder.rglob("step_*")):
        shutil.rmtree(folder)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
