"""`cdzoo eval` and `cdzoo reproduce`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cdzoo.cli.common import load_trained, pick_device
from cdzoo.errors import ConfigError, InputError, require
from cdzoo.io.files import output_path, replace_atomically, write_json, write_text
from cdzoo.tables import render

if TYPE_CHECKING:
    from cdzoo.data.open import DataCfg
    from cdzoo.results import Results


def evaluate(
    *,
    model: list[str],
    data: DataCfg,
    split: Literal["train", "val", "test", "all"] = "test",
    out: str | None = None,
    pictures: str | None = None,
    worst: int = 8,
    per_image: str | None = None,
    robustness: str | None = None,
    threshold: float | None = None,
    batch_size: int = 8,
    workers: int = 0,
    device: str = "auto",
) -> None:
    """Evaluate one or several models on a split of a data set. Scores have 95 % bootstrap intervals over its images.

    Args:
        model: Folders of runs, tags (MODEL.TAG), models with published weights, or hf-hub:owner/name.
        data: Data.
        split: Split of the data; all for every pair of a folder without splits.
        out: JSON file of the results to write.
        pictures: Folder of pictures of the worst samples to write.
        worst: Number of samples in a picture.
        per_image: Table of the scores of each image to write: .csv or .json.
        robustness: Picture to write of F1 when the second date is shifted, brighter, darker, blurred or compressed: .png, .svg
            or .pdf. The scores are in --out.
        threshold: Minimum probability for a pixel to count as changed; that of published weights, or else of the protocol, by
            default.
        batch_size: Number of samples predicted at once.
        workers: Number of processes that load data.
        device: auto, cpu, cuda or mps.
    """
    if worst < 1 or batch_size < 1:
        raise ConfigError(f"--worst and --batch-size must be at least 1, got {worst} and {batch_size}")
    _check_outputs(out, pictures, per_image, robustness)
    from cdzoo.engine.run import score_model
    from cdzoo.metrics import SUMMARY_SCORES, spread_table

    target = pick_device(device)
    results: list[Results] = []
    for name in [run for given in model for run in _runs(given)]:
        sheet = None if pictures is None else Path(pictures) / f"worst_{Path(name).name}.png"
        options: dict[str, Any] = {"picture": sheet, "worst": worst, "robustness": robustness is not None}
        detector = load_trained(name)
        used = detector.pretrained_cfg.threshold if threshold is None and detector.pretrained_cfg else threshold
        result = score_model(detector, name, data, split, target, batch_size, workers, used, **options)
        if not results and result.protocol is not None:
            print(f"protocol {result.protocol.name}, hash {result.protocol.hash}, split {split}")
            print("".join(f"  {note}\n" for note in result.notes or []), end="")
            print(f"{'model':<28}" + "".join(f"{score:>14}" for score in SUMMARY_SCORES))
        print(f"{name:<28}" + "".join(f"{result[score]:>14.4f}" for score in SUMMARY_SCORES))
        print(_uncertainty(result))
        results.append(result)
        print("".join(f"  {note}\n" for note in result.notes or [] if note not in (results[0].notes or [])), end="", flush=True)
    if len(results) > 1:
        print(spread_table(split, results))
    _write_outputs(results, out, pictures, per_image, robustness)


def _check_outputs(out: str | None, pictures: str | None, per_image: str | None, robustness: str | None) -> None:
    """Raise before the evaluation for a file that cannot be written."""
    for option, path in (("--out", out), ("--pictures", pictures)):
        if path:
            output_path(path, option)
    if per_image is not None:
        output_path(per_image, "--per-image", (".csv", ".json"), "a table of images")
    if robustness is not None:
        output_path(robustness, "--robustness", (".png", ".svg", ".pdf"), "a picture")
        require("matplotlib.figure", "tools", "drawing curves")


def _write_outputs(
    results: list[Results], out: str | None, pictures: str | None, per_image: str | None, robustness: str | None
) -> None:
    """Write the files of an evaluation, and name all of them."""
    from cdzoo.metrics import spread

    if out is not None:
        write_json(out, results[0] if len(results) == 1 else {"runs": results, "spread": spread(results)})
        print(f"written to {out}")
    if per_image is not None:
        write_text(per_image, render([*_image_rows(results)], _IMAGE_COLUMNS, Path(per_image).suffix[1:]))
        print(f"scores of each image: {per_image}")
    if robustness is not None:
        _draw_robustness(results, Path(robustness))
    if pictures is not None:
        print(f"pictures of the worst samples: {pictures}")


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
    """Evaluate a model as its results.json describes, and compare the scores. The exit code is 1 if a score differs.

    Args:
        model: Folder of a run, or hf-hub:owner/name.
        data: Folder or name of the data, if different from that of the results.
        tolerance: Largest allowed difference of a score.
        device: auto, cpu, cuda or mps.
    """
    from cdzoo.data.open import DataCfg
    from cdzoo.engine.run import published_results, score_model
    from cdzoo.metrics import SUMMARY_SCORES

    published, file = published_results(model)
    source = DataCfg(**{**published.data, **({} if data is None else {"data": data})})
    assert published.protocol is not None  # checked by published_results
    threshold = published.protocol["threshold"]
    result = score_model(load_trained(model), model, source, published.split, pick_device(device), threshold=threshold)
    assert result.protocol is not None
    found, stored = result.protocol.splits[published.split], published.protocol.splits.get(published.split)
    if found != stored:
        raise InputError(
            f"{source.data}: the samples of the {published.split} split differ from those of the results: {found}, expected "
            f"{stored}; pass the right data with --data"
        )
    print("".join(f"  {note}\n" for note in result.notes or []), end="")
    print(f"{file}: {published.provenance} results on {published.split}, protocol {published.protocol.name}")
    rows = [{"score": name, "stored": published[name], "now": result[name]} for name in SUMMARY_SCORES]
    different = [str(row["score"]) for row in rows if abs(row["now"] - row["stored"]) > tolerance]
    print(render(rows, {"score": "score", "stored": "published:.6f", "now": "here:.6f"}), end="")
    print(f"differs by more than {tolerance:g}: {', '.join(different)}" if different else f"reproduced within {tolerance:g}")
    return 1 if different else 0


def _runs(name: str) -> list[str]:
    """Return the runs in a folder of several seeds, or the name itself."""
    folder = Path(name)
    found = [] if (folder / "config.json").is_file() else sorted(folder.glob("seed_*/config.json"))
    return [str(path.parent) for path in found] or [name]
