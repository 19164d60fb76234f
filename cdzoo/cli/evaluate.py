"""`cdzoo eval` and `cdzoo reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cdzoo.cli.build import build_model, pick_device
from cdzoo.cli.inputs import data_cfg
from cdzoo.errors import ConfigError, InputError

PRINTED = ("precision", "recall", "f1", "iou", "oa", "kappa", "mean_image_f1")


def run_eval(
    model: list[str],
    split: str,
    out: str | None,
    pictures: str | None,
    worst: int,
    threshold: float | None,
    batch_size: int,
    workers: int,
    device: str,
    **options: Any,
) -> None:
    """Score models on a split; one results file each, and the spread over them when there are several."""
    from cdzoo.engine.run import score_model
    from cdzoo.io.files import write_json
    from cdzoo.metrics import spread, spread_table

    source = data_cfg(options)
    if worst < 1 or batch_size < 1:
        raise ConfigError(f"--worst and --batch-size must be at least 1, got {worst} and {batch_size}")
    target = pick_device(device)
    names = [one for given in model for one in _seeds(given)]
    for path in (out, pictures):
        if path and not Path(path).resolve().parent.is_dir():
            raise InputError(f"{path}: there is no folder {Path(path).parent}; make it first")
    results: list[dict[str, Any]] = []
    for name in names:
        detector = build_model(name)
        sheet = None if pictures is None else Path(pictures) / f"worst_{Path(name).name}.png"
        result = score_model(detector, name, source, split, target, batch_size, workers, threshold, sheet, worst)
        if not results:
            print(f"protocol {result['protocol']['name']}, hash {result['protocol']['hash']}, split {split}")
            print(f"{'model':<28}" + "".join(f"{one:>14}" for one in PRINTED))
        print(f"{name:<28}" + "".join(f"{result['scores'][one]:>14.4f}" for one in PRINTED), flush=True)
        results.append(result)
    if len(results) > 1:
        print(spread_table(split, [result["scores"] for result in results]))
    if out is not None:
        if len(results) == 1:
            write_json(out, results[0])
        else:
            write_json(out, {"runs": results, "spread": spread([result["scores"] for result in results])})
        print(f"written to {out}")
    if pictures is not None:
        print(f"worst samples drawn in {pictures}")


def run_reproduce(model: str, data: str | None, tolerance: float, device: str) -> int:
    """Evaluate published weights as their results say they were, and compare; 1 when a score differs."""
    from cdzoo.engine.run import published_results, score_model

    published, file = published_results(model)
    stored = dict(published["data"])
    if data is not None:
        stored["data"] = data
    source = data_cfg(stored)
    result = score_model(build_model(model), model, source, published["split"], pick_device(device))
    mine, theirs = result["protocol"]["splits"][published["split"]], published["protocol"]["splits"][published["split"]]
    if mine != theirs:
        raise InputError(
            f"{source.data}: the {published['split']} split is not the one that was scored: {mine['samples']} samples with hash "
            f"{mine['sha256']} instead of {theirs['samples']} with {theirs['sha256']}; name the right data with --data"
        )
    print(f"{file}: {published['provenance']} results on {published['split']}, protocol {published['protocol']['name']}")
    print(f"{'score':<16}{'published':>12}{'here':>12}{'difference':>12}")
    off = []
    for name in PRINTED:
        before, now = published["scores"][name], result["scores"][name]
        if abs(now - before) > tolerance:
            off.append(name)
        print(f"{name:<16}{before:>12.6f}{now:>12.6f}{now - before:>+12.6f}{'  <' if name in off else ''}")
    print(f"differs by more than {tolerance:g}: {', '.join(off)}" if off else f"reproduced within {tolerance:g}")
    return 1 if off else 0


def _seeds(name: str) -> list[str]:
    """A folder of several seeds stands for all of them."""
    folder = Path(name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        found = sorted(path for path in folder.glob("seed_*") if (path / "config.json").is_file())
        if found:
            return [str(path) for path in found]
    return [name]
