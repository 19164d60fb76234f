"""Scoring finished models: the results that are stored, and pictures of where they go wrong."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from cdzoo.data.open import DataCfg, open_data
from cdzoo.engine.pictures import sample_picture
from cdzoo.errors import InputError
from cdzoo.inference.evaluate import SampleScore, evaluate
from cdzoo.io.files import file_sha256, replace_atomically
from cdzoo.models.detector import ChangeDetector
from cdzoo.results import RESULTS_FILE, environment, protocol_record
from cdzoo.weights.folder import WEIGHTS_FILE


def score_model(
    model: ChangeDetector,
    name: str,
    source: DataCfg,
    split: str,
    device: torch.device,
    batch_size: int = 8,
    workers: int = 0,
    threshold: float | None = None,
    sheet: Path | None = None,
    worst: int = 8,
) -> dict[str, Any]:
    """Return what is stored of one model on one split: protocol, scores, environment, and where the weights are from.

    Args:
        model: The detector.
        name: As the user called it: a folder, a Hub id, or a registered name.
        source: Which data.
        split: `"train"`, `"val"` or `"test"`.
        device: Where to run.
        batch_size: Samples predicted at once.
        workers: Processes that load data.
        threshold: Another one than the protocol's; it is stored as such.
        sheet: Picture of the worst samples to write.
        worst: How many of them; those with the most wrong pixels.
    """
    opened = open_data(source, (split,), model.config.bands)
    samples = opened.splits[split]
    protocol = opened.protocol if threshold is None else dataclasses.replace(opened.protocol, threshold=threshold)
    scores: list[SampleScore] = []
    model.to(device)
    counts = evaluate(model, samples, protocol, device, batch_size, workers, on_sample=scores.append)
    if sheet is not None:
        ranked = sorted(scores, key=lambda one: (-(one.confusion.fp + one.confusion.fn), one.index))[:worst]
        sheet.parent.mkdir(parents=True, exist_ok=True)
        with replace_atomically(sheet) as temporary:
            sample_picture(model, samples, [one.index for one in ranked], protocol, device).save(temporary)
    return {
        "model": model.config.name,
        "source": name,
        "split": split,
        "protocol": protocol_record(protocol, opened.names),
        "scores": counts.summary(),
        "data": dataclasses.asdict(source),
        "environment": environment(device),
        "provenance": "measured",
        **_trained(name),
    }


def published_results(name: str) -> tuple[dict[str, Any], str]:
    """Return the results stored beside weights, and where they are.

    Raises:
        InputError: There are no results beside them, or they do not say what was scored.
    """
    file = _results_file(name)
    if file is None or not file.is_file():
        raise InputError(f"{name}: there is no {RESULTS_FILE} beside the weights to compare with; cdzoo train writes one")
    results = json.loads(file.read_text(encoding="utf-8"))
    if lacking := {"data", "protocol", "scores", "split"} - results.keys():
        raise InputError(f"{file}: the results do not say {', '.join(sorted(lacking))}, so they cannot be reproduced")
    return results, str(file)


def _results_file(name: str) -> Path | None:
    if Path(name.removeprefix("local-dir:")).is_dir():
        return Path(name.removeprefix("local-dir:")) / RESULTS_FILE
    if name.startswith("hf-hub:"):
        from cdzoo.weights.hub import download

        return download(name.removeprefix("hf-hub:"), RESULTS_FILE)
    return None


def _trained(name: str) -> dict[str, Any]:
    """Return what the weights' own folder says of their training."""
    folder = Path(name.removeprefix("local-dir:"))
    if not (folder / WEIGHTS_FILE).is_file():
        return {}
    found: dict[str, Any] = {"weights_sha256": file_sha256(folder / WEIGHTS_FILE)}
    if (folder / RESULTS_FILE).is_file():
        results = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
        found["trained"] = {key: results[key] for key in ("seed", "epoch", "step", "training", "notes") if key in results}
        found["trained"]["protocol_hash"] = results.get("protocol", {}).get("hash")
    return found
