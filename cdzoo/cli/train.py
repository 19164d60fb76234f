"""`cdzoo train`."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from cdzoo.cli.build import build_model, pick_device
from cdzoo.engine.settings import TrainCfg
from cdzoo.errors import InputError


def run_train(
    model: str,
    data: str,
    val: str | None,
    out: str | None,
    exclude: list[str],
    overwrite: bool,
    **options: Any,
) -> None:
    """Train on a folder of pairs and leave weights, config and scores in `out`."""
    cfg = TrainCfg(**{field.name: options.pop(field.name) for field in dataclasses.fields(TrainCfg)})
    folder = Path(out or f"runs/{Path(model).name}")
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise InputError(f"{folder}: there is something already; choose another --out, or replace it with --overwrite")
    pick_device(cfg.device)

    import torch  # after the cheap checks: this takes seconds

    from cdzoo.data.folder import FolderPairs
    from cdzoo.data.layout import find_splits
    from cdzoo.engine.train import train

    torch.manual_seed(cfg.seed)  # the weights of a new model are drawn here
    detector = build_model(model, **options)
    bands = detector.config.bands
    splits = find_splits(data)
    training = FolderPairs(splits.get("train", data), bands, exclude)
    val_folder = Path(val) if val else splits.get("val")
    selection = FolderPairs(val_folder, bands, exclude) if val_folder else training
    if val_folder:
        judged_on = f"{len(selection)} validation pairs of {val_folder}"
    else:
        judged_on = f"the same {len(selection)} pairs: the scores show that the model learns, they are no benchmark"
    size = sum(detector.parameter_counts().values()) / 1e6
    print(f"{detector.config.name} ({size:.2f} M parameters), {len(training)} pairs of {training.root}, judged on {judged_on}")

    start = time.monotonic()
    confusion = train(detector, training, selection, cfg, folder, {"judged_on": judged_on, "exclude": exclude})
    print(f"trained in {time.monotonic() - start:.0f} s; best weights:")
    print("  " + "  ".join(f"{name} {value:.4f}" for name, value in confusion.scores().items()))
    print(f"written to {folder}; use them with: cdzoo predict BEFORE AFTER -o change.png --model {folder}")
