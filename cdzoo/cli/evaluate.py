"""`cdzoo eval` and `cdzoo reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cdzoo.cli.common import load_trained, pick_device
from cdzoo.errors import ConfigError, InputError
from cdzoo.io.files import output_path, write_json
from cdzoo.tables import render

if TYPE_CHECKING:
    from cdzoo.data.open import DataCfg
    from cdzoo.results import Results


def evaluate(
    *,
    model: list[str],
    data: DataCfg,
    split: Literal["train", "val", "test"] = "test",
    out: str | None = None,
    pictures: str | None = None,
    worst: int = 8,
    threshold: float | None = None,
    batch_size: int = 8,
    workers: int = 0,
    device: str = "auto",
) -> None:
    """Evaluate one or several models on a split of a data set.

    Args:
        model: Folders of runs, tags (MODEL.TAG), models with published weights, or hf-hub:owner/name.
        data: Data.
        split: Split of the data.
        out: JSON file of the results to write.
        pictures: Folder of pictures of the worst samples to write.
        worst: Number of samples in a picture.
        threshold: Minimum probability for a pixel to count as changed; that of the protocol by default.
        batch_size: Number of samples predicted at once.
        workers: Number of processes that load data.
        device: auto, cpu, cuda or mps.
    """
    if worst < 1 or batch_size < 1:
        raise ConfigError(f"--worst and --batch-size must be at least 1, got {worst} and {batch_size}")
    for option, path in (("--out", out), ("--pictures", pictures)):
        if path:
            output_path(path, option)
    from cdzoo.engine.run import score_model
    from cdzoo.metrics import SUMMARY_SCORES, spread, spread_table

    target = pick_device(device)
    results: list[Results] = []
    for name in [run for given in model for run in _runs(given)]:
        sheet = None if pictures is None else Path(pictures) / f"worst_{Path(name).name}.png"
        result = score_model(load_trained(name), name, data, split, target, batch_size, workers, threshold, sheet, worst)
        if not results and result.protocol is not None:
            print(f"protocol {result.protocol.name}, hash {result.protocol.hash}, split {split}")
            print(f"{'model':<28}" + "".join(f"{score:>14}" for score in SUMMARY_SCORES))
        print(f"{name:<28}" + "".join(f"{result[score]:>14.4f}" for score in SUMMARY_SCORES), flush=True)
        results.append(result)
    scores = [result.scores for result in results]
    if len(results) > 1:
        print(spread_table(split, scores))
    if out is not None:
        write_json(out, results[0] if len(results) == 1 else {"runs": results, "spread": spread(scores)})
        print(f"written to {out}")
    if pictures is not None:
        print(f"pictures of the worst samples: {pictures}")


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
    result = score_model(load_trained(model), model, source, published.split, pick_device(device))
    assert result.protocol is not None and published.protocol is not None  # checked by published_results
    found, stored = result.protocol.splits[published.split], published.protocol.splits.get(published.split)
    if found != stored:
        raise InputError(
            f"{source.data}: the samples of the {published.split} split differ from those of the results: {found}, expected "
            f"{stored}; pass the right data with --data"
        )
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
