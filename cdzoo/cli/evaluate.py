"""`cdzoo eval` and `cdzoo reproduce`."""

from __future__ import annotations

from pathlib import Path

from cdzoo.cli.common import load_trained, pick_device
from cdzoo.data.open import DataCfg
from cdzoo.errors import ConfigError, InputError
from cdzoo.io.files import write_json
from cdzoo.metrics import SUMMARY_SCORES, spread, spread_table
from cdzoo.results import Results


def evaluate(
    model: list[str],
    data: DataCfg,
    split: str = "test",
    out: str | None = None,
    pictures: str | None = None,
    worst: int = 8,
    threshold: float | None = None,
    batch_size: int = 8,
    workers: int = 0,
    device: str = "auto",
) -> None:
    """Score one or several models on a split of a data set.

    Args:
        model: Folders of runs, hf-hub:owner/name, or tags of published weights.
        data: Data.
        split: Split: train, val or test.
        out: JSON file to write the results to.
        pictures: Folder to write pictures of the worst samples to.
        worst: Number of samples per picture.
        threshold: Probability from which a pixel counts as changed; that of the protocol by default.
        batch_size: Samples predicted at once.
        workers: Loader processes.
        device: Device: auto, cpu, cuda or mps.
    """
    from cdzoo.engine.run import score_model

    if worst < 1 or batch_size < 1:
        raise ConfigError(f"--worst and --batch-size must be at least 1, got {worst} and {batch_size}")
    target = pick_device(device)
    names = [run for name in model for run in _seed_runs(name)]
    for path in (out, pictures):
        if path and not Path(path).resolve().parent.is_dir():
            raise InputError(f"{path}: the folder {Path(path).parent} does not exist")
    results: list[Results] = []
    for name in names:
        picture = None if pictures is None else Path(pictures) / f"worst_{Path(name).name}.png"
        detector = load_trained(name)
        result = score_model(detector, name, data, split, target, batch_size, workers, threshold, picture, worst)
        if not results and result.protocol is not None:
            print(f"protocol {result.protocol.name}, hash {result.protocol.hash}, split {split}")
            print(f"{'model':<28}" + "".join(f"{score:>14}" for score in SUMMARY_SCORES))
        print(f"{name:<28}" + "".join(f"{result[score]:>14.4f}" for score in SUMMARY_SCORES), flush=True)
        results.append(result)
    scores = [result.scores for result in results]
    if len(results) > 1:
        print(spread_table(split, scores))
    if out is not None:
        runs = [result.to_dict() for result in results]
        write_json(out, runs[0] if len(runs) == 1 else {"runs": runs, "spread": spread(scores)})
        print(f"written to {out}")
    if pictures is not None:
        print(f"pictures of the worst samples: {pictures}")


def reproduce(model: str, data: str | None = None, tolerance: float = 1e-4, device: str = "auto") -> int:
    """Score weights again as their results state, and compare. Exit code 1 if a score differs.

    Args:
        model: Folder of a run, or hf-hub:owner/name.
        data: Location of the data, if it has changed.
        tolerance: Largest difference of a score.
        device: Device: auto, cpu, cuda or mps.
    """
    from cdzoo.engine.run import published_results, score_model

    published, file = published_results(model)
    source = DataCfg(**{**published.data, **({"data": data} if data is not None else {})})
    result = score_model(load_trained(model), model, source, published.split, pick_device(device))
    assert result.protocol is not None and published.protocol is not None  # checked by published_results
    found, stated = (record.splits.get(published.split, {}) for record in (result.protocol, published.protocol))
    if found != stated:
        raise InputError(
            f"{source.data}: the {published.split} split is not the one that was scored: {found.get('samples')} samples with "
            f"hash {found.get('sha256')} instead of {stated.get('samples')} with {stated.get('sha256')}; pass the right data "
            "with --data"
        )
    print(f"{file}: {published.provenance} results on {published.split}, protocol {published.protocol.name}")
    print(f"{'score':<16}{'published':>12}{'here':>12}{'difference':>12}")
    different = []
    for name in SUMMARY_SCORES:
        before, now = published[name], result[name]
        if abs(now - before) > tolerance:
            different.append(name)
        print(f"{name:<16}{before:>12.6f}{now:>12.6f}{now - before:>+12.6f}{'  <' if name in different else ''}")
    print(f"differs by more than {tolerance:g}: {', '.join(different)}" if different else f"reproduced within {tolerance:g}")
    return 1 if different else 0


def _seed_runs(name: str) -> list[str]:
    """Return the runs of a folder with several seeds, or the name itself."""
    folder = Path(name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        found = sorted(path for path in folder.glob("seed_*") if (path / "config.json").is_file())
        if found:
            return [str(path) for path in found]
    return [name]
