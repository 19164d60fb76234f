"""Runs on named data: training (`run_training`) and evaluation (`score_model`)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cdzoo.config import ModelOptions
from cdzoo.data.open import DataCfg, open_data
from cdzoo.data.protocols import get_protocol
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.fit import train
from cdzoo.engine.pictures import sample_picture
from cdzoo.errors import InputError
from cdzoo.factory import create_model
from cdzoo.inference.evaluate import SampleScore, evaluate
from cdzoo.io.files import file_sha256, replace_atomically
from cdzoo.models.detector import ChangeDetector
from cdzoo.results import RESULTS_FILE, Environment, ProtocolRecord, Results
from cdzoo.weights.folder import WEIGHTS_FILE


def run_training(
    model: ModelOptions,
    data: DataCfg,
    cfg: TrainCfg,
    out: Path | None = None,
    resume: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[ChangeDetector, Results]:
    """Open the data, build the model, and train it.

    Args:
        model: Options of `create_model`.
        data: Data set.
        cfg: Settings of the training.
        out: Folder of the run; nothing is written by default.
        resume: Continue from the last checkpoint in `out`.
        report: Called with lines of text about the run.

    Returns:
        The model with the best weights, and the results of the best validation.
    """
    selection = get_protocol(data.protocol).selection_split
    torch.manual_seed(cfg.seed)  # of the initial weights
    detector = create_model(**model.arguments())
    opened = open_data(data, ("train", selection), detector.config.bands)
    record = ProtocolRecord.of(opened.protocol, opened.names)
    size = sum(detector.parameter_counts().values()) / 1e6
    for line in (
        f"{detector.config.name} ({size:.2f} M parameters) on {data.data}",
        *(f"  {note}" for note in opened.notes),
        f"  protocol {opened.protocol} (hash {record.hash})",
    ):
        report(line)
    facts = {"data": dataclasses.asdict(data), "notes": opened.notes, "protocol": record}
    start = time.monotonic()
    results = train(
        detector, opened.splits["train"], opened.splits[selection], cfg, out, opened.protocol, facts=facts, resume=resume
    )
    report(f"trained in {time.monotonic() - start:.0f} s; best scores on the {selection} split:")
    report("  " + "  ".join(f"{name} {results[name]:.4f}" for name in ("precision", "recall", "f1", "iou", "oa", "kappa")))
    return detector, results


def score_model(
    model: ChangeDetector,
    name: str,
    data: DataCfg,
    split: str,
    device: torch.device | str = "cpu",
    batch_size: int = 8,
    workers: int = 0,
    threshold: float | None = None,
    picture: Path | None = None,
    worst: int = 8,
) -> Results:
    """Evaluate a model on a split of a data set.

    Args:
        model: The model.
        name: Folder, repository or name that the model was loaded from.
        data: Data set.
        split: `"train"`, `"val"` or `"test"`.
        device: Device of the evaluation.
        batch_size: Samples predicted at once.
        workers: Loader processes.
        threshold: Probability from which a pixel counts as changed; that of the protocol by default.
        picture: Picture of the worst samples to write.
        worst: Number of these samples, by the number of wrong pixels.
    """
    opened = open_data(data, (split,), model.config.bands)
    samples = opened.splits[split]
    protocol = opened.protocol if threshold is None else dataclasses.replace(opened.protocol, threshold=threshold)
    scores: list[SampleScore] = []
    device = torch.device(device)
    model.to(device)
    counts = evaluate(model, samples, protocol, device, batch_size, workers, on_sample=scores.append)
    if picture is not None:
        ranked = sorted(scores, key=lambda score: (-(score.confusion.fp + score.confusion.fn), score.index))[:worst]
        picture.parent.mkdir(parents=True, exist_ok=True)
        with replace_atomically(picture) as temporary:
            sample_picture(model, samples, [score.index for score in ranked], protocol, device).save(temporary)
    return Results(
        model=model.config.name,
        split=split,
        scores=counts.summary(),
        protocol=ProtocolRecord.of(protocol, opened.names),
        environment=Environment.current(device),
        data=dataclasses.asdict(data),
        source=name,
        **_training_of(name),
    )


def published_results(name: str) -> tuple[Results, str]:
    """Return the results beside weights, and the path of their file.

    Raises:
        InputError: There are no results beside the weights, or they lack what is needed to reproduce them.
    """
    file = _results_file(name)
    if file is None or not file.is_file():
        raise InputError(f"{name}: there is no {RESULTS_FILE} beside the weights; cdzoo train writes one")
    results = Results.read(file)
    missing = [key for key in ("data", "protocol") if getattr(results, key) is None]
    if missing:
        raise InputError(f"{file}: the results lack {', '.join(missing)}, so they cannot be reproduced")
    return results, str(file)


def _results_file(name: str) -> Path | None:
    folder = Path(name.removeprefix("local-dir:"))
    if folder.is_dir():
        return folder / RESULTS_FILE
    if name.startswith("hf-hub:"):
        from cdzoo.weights.hub import download

        return download(name.removeprefix("hf-hub:"), RESULTS_FILE)
    return None


def _training_of(name: str) -> dict[str, Any]:
    """Return the hash and the training of the weights in a folder."""
    folder = Path(name.removeprefix("local-dir:"))
    if not (folder / WEIGHTS_FILE).is_file():
        return {}
    found: dict[str, Any] = {"weights_sha256": file_sha256(folder / WEIGHTS_FILE)}
    if (folder / RESULTS_FILE).is_file():
        results = Results.read(folder / RESULTS_FILE)
        trained = {key: getattr(results, key) for key in ("seed", "epoch", "step", "training")}
        trained["notes"] = results.extra.get("notes")
        found["trained"] = {key: value for key, value in trained.items() if value is not None}
        found["trained"]["protocol_hash"] = results.protocol.hash if results.protocol else None
    return found
