"""`run_training` and `score_model`: training and evaluation from descriptions of model and data."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from cdzoo.bootstrap import ImageScore, confidence_intervals
from cdzoo.config import ModelOptions
from cdzoo.data.contract import check_samples
from cdzoo.data.open import DataCfg, data_classes, open_data
from cdzoo.data.overlap import describe_overlap, memory, overlap, sample_hashes
from cdzoo.data.protocols import get_protocol
from cdzoo.data.unlabeled import UNLABELED
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.pictures import sample_picture
from cdzoo.engine.robustness import measure_robustness
from cdzoo.errors import CdzooError, ConfigError, InputError
from cdzoo.factory import create_initialized, create_model
from cdzoo.inference.evaluate import SampleScore, evaluate
from cdzoo.inference.tta import check_mode
from cdzoo.io.band_names import band_count
from cdzoo.io.files import file_sha256, replace_atomically
from cdzoo.metrics import SUMMARY_SCORES, Confusion, split_scores
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.scale import check_scale
from cdzoo.models.summary import title
from cdzoo.protocol import Augment
from cdzoo.registry import MODELS
from cdzoo.results import RESULTS_FILE, Environment, ProtocolRecord, Results
from cdzoo.weights.folder import WEIGHTS_FILE
from cdzoo.weights.hub import download


def run_training(
    model: ModelOptions | ChangeDetector,
    data: DataCfg,
    cfg: TrainCfg,
    out: str | Path | None = None,
    resume: bool = False,
    report: Callable[[str], None] = lambda line: None,
    init: str | None = None,
) -> tuple[ChangeDetector, Results]:
    """Open the data, build the model and train it.

    Args:
        model: Description of the model, whose weights are initialized from `cfg.seed`; or a model, which is trained in place.
        data: Data; the weights are selected on the split that its protocol names.
        cfg: Settings.
        out: Folder of the run, see `train`; None to write nothing.
        resume: Continue from the last training state in `out`.
        report: Called with lines about model, data and protocol before the training, and about time and scores after it.
        init: Weights that a described model starts from, see `cdzoo.factory.create_initialized`.

    Returns:
        The model with its best weights, and the results of the best validation.

    Raises:
        UnknownNameError: The model or a component does not exist.
        ConfigError: An option of the model, the data or the training is invalid.
        InputError: The data do not exist or cannot be used.
        TrainingError: See `train`.
    """
    from cdzoo.engine.fit import train  # requires the extra "train", which an evaluation does not

    torch.manual_seed(cfg.seed)
    start_from: dict[str, Any] = {}
    if isinstance(model, ChangeDetector):
        detector = model
    elif init is None:
        detector = create_model(**_options(model, data))
    else:
        detector, sha256 = create_initialized(init, **_options(model, data))
        start_from = {"init": {"source": init, "sha256": sha256}}
    _check_classes(detector, data)
    if data.unlabeled is not None and not cfg.semi:
        raise ConfigError(f"unlabeled={data.unlabeled} is for semi-supervised training: add semi=unimatch, or leave it out")
    selection = get_protocol(data.protocol, data.data.partition(":")[0]).selection_split
    splits = ("train", selection, *([UNLABELED] if cfg.semi else []))
    opened = open_data(data, splits, detector.config.bands)
    # Without the unlabeled pairs: with and without them, scores are comparable.
    record = ProtocolRecord.of(opened.protocol, {split: names for split, names in opened.names.items() if split != UNLABELED})
    report(f"{title(detector.config)} ({sum(detector.parameter_counts().values()) / 1e6:.2f} M parameters) on {data.title}")
    if not resume:
        report(f"  starts from {_start(model, detector)}")
    for line in (*opened.notes, f"protocol {opened.protocol} (hash {record.hash})"):
        report(f"  {line}")
    remembered = memory(opened.splits, _remembered(init) if init is not None else None)
    data = opened.cfg or data
    facts = {"data": dataclasses.asdict(data), "notes": opened.notes, "protocol": record, "pairs": remembered, **start_from}
    val_set = opened.splits[opened.protocol.selection_split]
    start = time.monotonic()
    unlabeled = opened.splits.get(UNLABELED)
    results = train(detector, opened.splits["train"], val_set, cfg, out, opened.protocol, facts, resume, unlabeled)
    if "stopped_epoch" in results.extra:
        report(f"stopped after epoch {results.extra['stopped_epoch']}: {cfg.early_stopping} validations without a better score")
    report(f"trained in {time.monotonic() - start:.0f} s; best scores on the {opened.protocol.selection_split} split:")
    overall, _ = split_scores(results.scores.further, detector.task.class_names)
    report("  " + "  ".join(f"{name} {results[name]:.4f}" for name in (*SUMMARY_SCORES[:-1], *overall)))
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
    scale: float | None = None,
    augment: Augment | None = None,
    picture: Path | None = None,
    worst: int = 8,
    robustness: bool = False,
) -> Results:
    """Evaluate a model on a split.

    Args:
        model: Model.
        name: Name, folder or repository from which it was loaded.
        data: Data.
        split: `"train"`, `"val"`, `"test"`, or `"all"` for a folder without splits.
        device: Where to run.
        batch_size: Number of samples per forward pass.
        workers: Number of processes that load data.
        threshold: Replaces the threshold of the protocol.
        scale: Replaces that of the protocol: factor by which images are enlarged for the model, see `predict_pair`.
        augment: Replaces that of the protocol: test-time augmentation, see `cdzoo.inference.tta`.
        picture: Path of a picture of the worst samples to write.
        worst: Number of samples in the picture: those with the most wrong pixels.
        robustness: Score the model under disturbances too, see `measure_robustness`; they are in `extra["robustness"]`.
    """
    device = torch.device(device)
    folder = Path(name.removeprefix("local-dir:"))
    trained = Results.read(folder / RESULTS_FILE) if (folder / RESULTS_FILE).is_file() else None
    _check_classes(model, data)
    stored = trained.data if trained is not None and isinstance(trained.data, dict) else None
    opened = open_data(data, (split,), model.config.bands, stored)
    data = opened.cfg or data
    samples = opened.splits[split]
    sizes, window = model.input_sizes, opened.protocol.window
    check_samples(samples, model.config.bands, split, model.task.targets, whole=True, accepted=sizes, window=window)
    hashes = sample_hashes(samples)
    found = overlap(hashes, _remembered(name))
    check_scale(opened.protocol.scale if scale is None else scale, model.config.name, sizes)
    given: dict[str, Any] = {"threshold": threshold, "scale": scale, "augment": augment}
    protocol = dataclasses.replace(opened.protocol, **{name: value for name, value in given.items() if value is not None})
    check_mode(protocol.augment, model)
    scored: list[SampleScore] = []
    counter = evaluate(model.to(device), samples, protocol, device, batch_size, workers, on_sample=scored.append)
    if picture is not None:
        ranked = sorted(scored, key=lambda score: (-score.confusion.errors, score.index))[:worst]
        picture.parent.mkdir(parents=True, exist_ok=True)
        with replace_atomically(picture) as temporary:
            sample_picture(model, samples, [score.index for score in ranked], protocol, device).save(temporary)
    points = measure_robustness(model, samples, protocol, device, batch_size, workers) if robustness else []
    images = _by_image(scored, getattr(samples, "image_names", samples.names))
    return Results(
        model=model.config.name,
        source=name,
        split=split,
        protocol=ProtocolRecord.of(protocol, opened.names),
        scores=counter.summary(),
        data=dataclasses.asdict(data),
        environment=Environment.current(device),
        notes=[*opened.notes, *([] if model.pretrained_cfg else [describe_overlap(len(hashes), found)])],
        intervals=confidence_intervals(images),
        per_image=images,
        extra={"overlap": found, **({"robustness": [dataclasses.asdict(point) for point in points]} if points else {})},
    ).with_entries(_weights_entries(folder / WEIGHTS_FILE, trained))


def _start(model: ModelOptions | ChangeDetector, detector: ChangeDetector) -> str:
    """Return a name of the weights before the training."""
    if detector.origin:
        return f"weights {detector.origin}"
    if isinstance(model, ModelOptions) and (model.backbone_weights or model.backbone_pretrained):
        source = model.backbone_weights or f"pretrained {detector.config.backbone.name}"
        return f"random weights except for those of the backbone, {source}"
    return "random weights"


def _options(model: ModelOptions, data: DataCfg) -> dict[str, Any]:
    """Return the options of a model; a registered one is given the task, classes and bands of the data unless it has others."""
    options = model.arguments()
    declared = data_classes(data)
    if model.model_name not in MODELS:
        return options
    own = MODELS.get(model.model_name)()
    task = model.task or (own.task if own.task != "binary" else declared.task)
    if task != own.task:
        options["task"] = task
    if task == declared.task and declared.class_names and model.class_names is None:
        options["class_names"] = declared.class_names
    if declared.bands is not None and len(set(declared.bands)) > 1 and model.in_chans is model.siamese is None:
        options |= {"in_chans": declared.bands, "siamese": False}
    elif data.bands is not None and model.in_chans is None:
        counts = tuple(band_count(bands or data.bands) for bands in data.selected)
        options |= {"in_chans": counts[0]} if len({*counts}) == 1 else {"in_chans": counts, "siamese": False}
    return options


def _check_classes(model: ChangeDetector, data: DataCfg) -> None:
    """Raise `ConfigError` if model and data have the same task but other classes."""
    declared = data_classes(data)
    if model.task.name == declared.task and declared.class_names and model.task.class_names != declared.class_names:
        raise ConfigError(
            f"the model '{model.config.name}' has the classes {', '.join(model.task.class_names)}, but the data '{data.title}' "
            f"have {', '.join(declared.class_names)}: pass --class-names, or choose other weights"
        )


def _weights_entries(file: Path, results: Results | None) -> dict[str, Any]:
    """Return the hash of weights in a folder and what describes their training; empty for others."""
    if not file.is_file():
        return {}
    trained = None
    if results is not None:
        trained = {key: getattr(results, key) for key in ("seed", "epoch", "step", "training", "notes")}
        trained["protocol_hash"] = results.protocol.hash if results.protocol else None
        trained = {key: value for key, value in trained.items() if value is not None}
    return {"weights_sha256": file_sha256(file), "trained": trained}


def _remembered(name: str) -> dict[str, list[str]]:
    """Return the hashes of the pairs that weights were trained and selected on, from the results next to them."""
    try:
        results, _ = published_results(name)
    except CdzooError:
        return {}
    pairs = results.extra.get("pairs")
    entries = pairs.items() if isinstance(pairs, dict) else ()
    return {use: [str(one) for one in hashes] for use, hashes in entries if isinstance(hashes, list)}


def _by_image(scored: Sequence[SampleScore], names: Sequence[str]) -> list[ImageScore]:
    """Return the pixel counts of each image, given those of its tiles and the name of the image of each sample."""
    pooled: dict[str, Confusion] = {}
    for score in sorted(scored, key=lambda score: score.index):
        name = names[score.index]
        pooled[name] = pooled[name] + score.confusion if name in pooled else score.confusion
    return [ImageScore(name, **dataclasses.asdict(confusion)) for name, confusion in pooled.items()]


def published_results(name: str) -> tuple[Results, str]:
    """Return the results stored with weights, and the path of their file.

    Args:
        name: Folder of a model, or `hf-hub:owner/name`.

    Raises:
        InputError: There are no results, or they do not contain what is needed to reproduce them.
    """
    folder = Path(name.removeprefix("local-dir:"))
    file = folder / RESULTS_FILE
    if name.startswith("hf-hub:") and not folder.is_dir():
        file = download(name.removeprefix("hf-hub:"), RESULTS_FILE)
    if not file.is_file():
        raise InputError(f"{name}: there is no {RESULTS_FILE} beside the weights to compare with; cdzoo train writes one")
    results = Results.read(file)
    if missing := [key for key in ("data", "protocol") if getattr(results, key) is None]:
        raise InputError(f"{file}: the results lack {', '.join(missing)}, so they cannot be reproduced")
    return results, str(file)
