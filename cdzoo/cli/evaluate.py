"""`cdzoo eval` and `cdzoo reproduce`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from cdzoo.cli.common import load_trained, pick_device, print_weights
from cdzoo.cli.score_tables import draw_matrices, further_table
from cdzoo.errors import ConfigError, InputError, require
from cdzoo.io.files import output_path, replace_atomically, write_json, write_text
from cdzoo.io.outputs import check_outputs
from cdzoo.io.pillow import SUFFIXES
from cdzoo.protocol import Augment
from cdzoo.tables import render

if TYPE_CHECKING:
    from cdzoo.data.open import DataCfg
    from cdzoo.results import Results

Split = Literal["train", "val", "test", "all"]


def evaluate(
    *,
    model: list[str],
    data: DataCfg,
    split: Split = "test",
    out: str | None = None,
    pictures: str | None = None,
    worst: int = 8,
    per_image: str | None = None,
    robustness: str | None = None,
    threshold: float | None = None,
    scale: float | None = None,
    augment: Augment | None = None,
    batch_size: int = 8,
    workers: int = 0,
    device: str = "auto",
    random_weights: bool = False,
) -> None:
    """Evaluate one or several models on a split of a data set. Scores have 95 % bootstrap intervals over its images.

    Seeds of one model with the same settings are summarized by mean and standard deviation, other models one by one.

    Args:
        model: Folders of runs, tags (MODEL.TAG), models with published weights, or hf-hub:owner/name.
        data: Data.
        split: Split of the data; all for every pair of a folder without splits.
        out: JSON file of the results to write.
        pictures: Folder of pictures of the worst samples to write, and of the confusion matrices of several classes.
        worst: Number of samples in a picture.
        per_image: Table of the scores of each image to write: .csv or .json.
        robustness: Picture to write of F1 when the second date is shifted, brighter, darker, blurred or compressed: .png, .svg
            or .pdf. The scores are in --out.
        threshold: Minimum probability for a pixel to count as changed; that of published weights, or else of the protocol, by
            default.
        scale: Factor by which images are enlarged for the model, from 0.1 to 8; time grows with its square.
            That of the protocol by default.
        augment: Test-time augmentation; the mean over four flips (flips), both orders of the dates (swap), or both (all).
        batch_size: Number of samples predicted at once.
        workers: Number of processes that load data.
        device: auto, cpu, cuda or mps.
        random_weights: Score untrained models, for comparison.
    """
    if worst < 1 or batch_size < 1 or workers < 0:
        given = f"{worst}, {batch_size} and {workers}"
        raise ConfigError(f"--worst and --batch-size must be at least 1 and --workers at least 0, got {given}")
    names = [run for given in model for run in _runs(given)]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"--model {repeated}: named twice; a model is scored once")
    sheets = {} if pictures is None else _sheets(Path(pictures), names)
    _check_outputs(names, data.title, out, sheets, per_image, robustness)
    from cdzoo.engine.run import score_model
    from cdzoo.metrics import SUMMARY_SCORES, spread_table

    target = pick_device(device)
    results: list[Results] = []
    groups: dict[Any, list[Results]] = {}
    for name in names:
        sheet = sheets.get(name)
        options: dict[str, Any] = {"picture": sheet, "worst": worst, "scale": scale, "augment": augment}
        options["robustness"] = robustness is not None
        detector = load_trained(name, random_weights)
        print_weights(detector)
        used = detector.pretrained_cfg.threshold if threshold is None and detector.pretrained_cfg else threshold
        result = score_model(detector, name, data, split, target, batch_size, workers, used, **options)
        if not results and result.protocol is not None:
            print(f"protocol {result.protocol.name}, hash {result.protocol.hash}, split {split}")
            print("".join(f"  {note}\n" for note in result.notes or []), end="")
            print(f"{'model':<28}" + "".join(f"{score:>14}" for score in SUMMARY_SCORES))
        print(f"{name:<28}" + "".join(f"{result[score]:>14.4f}" for score in SUMMARY_SCORES))
        print(_uncertainty(result))
        print(further_table(result, detector.task.class_names), end="")
        if sheet is not None:
            draw_matrices(result, sheet)
        results.append(result)
        # Weights without a record of their training may differ in more than the seed.
        key = (detector.config.to_json(), result.settings) if result.settings else name
        seeds = [(one.trained or {}).get("seed") for one in groups.get(key, [])]
        groups.setdefault(name if (result.trained or {}).get("seed") in seeds else key, []).append(result)
        print("".join(f"  {note}\n" for note in result.notes or [] if note not in (results[0].notes or [])), end="", flush=True)
    for group in groups.values():
        if len(group) > 1:
            print(spread_table(f"{split}, {group[0].model}" if len(groups) > 1 else split, group))
    _write_outputs(results, list(groups.values()), out, pictures, per_image, robustness)


def _sheets(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Return the picture of the worst samples of each model; models of equal names are told apart by their folders."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--pictures {folder}: is a file; name a folder")
    short = [Path(name).name for name in names]
    unique = short if len(set(short)) == len(short) else [re.sub(r"[^\w.-]+", "_", name).strip("_") for name in names]
    return {name: folder / f"worst_{label}.png" for name, label in zip(names, unique, strict=True)}


def _check_outputs(
    names: Sequence[str], data: str, out: str | None, sheets: dict[str, Path], per_image: str | None, robustness: str | None
) -> None:
    """Raise before the evaluation for a file that cannot be written, or that is one of a model or of the data."""
    for option, path, suffixes, purpose in (
        ("--out", out, (".json",), "the results"),
        ("--per-image", per_image, (".csv", ".json"), "a table of images"),
        ("--robustness", robustness, (".png", ".svg", ".pdf"), "a picture"),
    ):
        if path is not None:
            output_path(path, option, suffixes, f"{option} is {purpose}")
    if robustness is not None:
        require("matplotlib.figure", "tools", "drawing curves")
    inputs: list[str | Path] = [file for name in names for file in _files_of(Path(name.removeprefix("local-dir:")))]
    if sheets:
        folder = next(iter(sheets.values())).parent
        made = sheets.values() if folder.is_dir() else [folder]
        check_outputs({f"--pictures {file.name}": file for file in made}, inputs)
        inputs += sheets.values() if folder.is_dir() else []
    if robustness is not None and Path(robustness).suffix.lower() in SUFFIXES and Path(robustness).exists():
        inputs += [robustness] if Path(data).resolve() in Path(robustness).resolve().parents else []
    check_outputs({"--out": out, "--per-image": per_image, "--robustness": robustness}, inputs)


def _files_of(folder: Path) -> Iterator[Path]:
    """Yield the files that a training or a conversion wrote into the folder of a model."""
    from cdzoo.weights.folder import CARD_FILE, CONFIG_FILE, PICTURE_FILE, RESULTS_FILE, WEIGHTS_FILE

    own = ("run.yaml", "log.csv", "loggers.json", "pretrained.json", "training.json", "epoch_*.png", "*/*.json")
    for written in (CARD_FILE, CONFIG_FILE, PICTURE_FILE, RESULTS_FILE, WEIGHTS_FILE, *own):
        yield from folder.glob(written)


def _write_outputs(
    results: list[Results],
    groups: list[list[Results]],
    out: str | None,
    pictures: str | None,
    per_image: str | None,
    robustness: str | None,
) -> None:
    """Write the files of an evaluation, and name all of them."""
    from cdzoo.metrics import spread

    if out is not None:
        several = {"runs": results, "spreads": [{"models": [r.source for r in g], **spread(g)} for g in groups if len(g) > 1]}
        one_model = {"runs": results, "spread": spread(results)}
        write_json(out, results[0] if len(results) == 1 else one_model if len(groups) == 1 else several)
        print(f"written to {out}")
    if per_image is not None:
        write_text(per_image, render([*_image_rows(results)], _IMAGE_COLUMNS, Path(per_image).suffix[1:]))
        print(f"scores of each image: {per_image}")
    if robustness is not None:
        _draw_robustness(results, Path(robustness))
    if pictures is not None:
        print(f"pictures of the worst samples{' and of matrices' if results[0].scores.matrices else ''}: {pictures}")


_IMAGE_COLUMNS = {key: key for key in ("model", "name", "f1", "iou", "precision", "recall", "tp", "fp", "fn", "tn")}


def _image_rows(results: list[Results]) -> Iterator[dict[str, Any]]:
    """Yield one row per model and image, the most wrong pixels first."""
    for result in results:
        for image in sorted(result.per_image or [], key=lambda image: -image.confusion.errors):
            yield {"model": result.source, "name": image.name, **image.confusion.to_dict()}


def _draw_robustness(results: list[Results], file: Path) -> None:
    """Draw the curves of all models, and print F1 at each level."""
    from cdzoo.engine.robustness import RobustnessPoint, draw_robustness

    curves = {str(result.source): [RobustnessPoint(**point) for point in result.extra["robustness"]] for result in results}
    with replace_atomically(file) as temporary:
        draw_robustness(curves, temporary)
    rows = [
        {"kind": points[0].kind, "level": points[0].level, **{name: p.f1 for name, p in zip(curves, points, strict=True)}}
        for points in zip(*curves.values(), strict=True)
    ]
    print("F1 when the second date is disturbed")
    print(render(rows, {"kind": "disturbance", "level": "level:g", **{name: f"{name}:.4f" for name in curves}}), end="")
    print(f"curves: {file}")


def _uncertainty(result: Results) -> str:
    """Return a line with the intervals of the scores and the best threshold beside the one used."""
    scores, found = result.scores, result.intervals
    shown = [f"{name} {one.low:.4f} to {one.high:.4f}" for name, one in found.scores.items()] if found else []
    text = f"95 % over {found.images} images: {', '.join(shown)}; " if found else ""
    best = "" if scores.best_threshold is None else f" (best here {scores.best_threshold:g}, f1 {scores.best_threshold_f1:.4f})"
    return f"  {text}threshold {scores.threshold:g}{best}"


def reproduce(model: str, *, data: str | None = None, tolerance: float = 1e-4, device: str = "auto") -> int:
    """Repeat the evaluation of a results.json and compare the scores. The exit code is 1 if a score differs.

    Args:
        model: Folder of a run, or hf-hub:owner/name.
        data: Folder or name of the data, if different from that of the results.
        tolerance: Largest allowed difference of a score.
        device: auto, cpu, cuda or mps.
    """
    if not tolerance >= 0:
        raise ConfigError(f"--tolerance must be 0 or more, got {tolerance}")
    from cdzoo.data.open import DataCfg
    from cdzoo.engine.run import published_results, score_model
    from cdzoo.metrics import SUMMARY_SCORES

    published, file = published_results(model)
    if not isinstance(published.data, dict) or published.split not in get_args(Split):
        raise InputError(f"{file}: does not describe data and a split; evaluate with: cdzoo eval --model {model} --data FOLDER")
    try:
        key = "pairs" if published.data.get("pairs") else "data"
        source = DataCfg(**{**published.data, **({} if data is None else {key: data})})
    except ConfigError as error:
        raise ConfigError(f"{file}: data: {error}") from error
    assert published.protocol is not None  # checked by published_results
    threshold = published.protocol["threshold"]
    detector = load_trained(model)
    print_weights(detector)
    how = {name: value for name, value in published.protocol.protocol.items() if name in ("scale", "augment")}
    result = score_model(detector, model, source, published.split, pick_device(device), threshold=threshold, **how)
    assert result.protocol is not None
    found, stored = result.protocol.splits[published.split], published.protocol.splits.get(published.split)
    if found != stored:
        raise InputError(
            f"{source.title}: the samples of the {published.split} split differ from those of the results: {found}, expected "
            f"{stored}; pass the right data with --data"
        )
    print("".join(f"  {note}\n" for note in result.notes or []), end="")
    print(f"{file}: {published.provenance} results on {published.split}, protocol {published.protocol.name}")
    names = (*SUMMARY_SCORES, *published.scores.further)
    rows = [{"score": name, "stored": published[name], "now": result[name]} for name in names]
    different = [str(row["score"]) for row in rows if not abs(row["now"] - row["stored"]) <= tolerance]
    print(render(rows, {"score": "score", "stored": "published:.6f", "now": "here:.6f"}), end="")
    print(f"differs by more than {tolerance:g}: {', '.join(different)}" if different else f"reproduced within {tolerance:g}")
    return 1 if different else 0


def _runs(name: str) -> list[str]:
    """Return the runs in a folder of several seeds, or the name itself."""
    folder = Path(name)
    found = [] if (folder / "config.json").is_file() else sorted(folder.glob("seed_*/config.json"))
    return [str(path.parent) for path in found] or [name]
