"""`cdzoo benchmark`."""

from __future__ import annotations

import json
import sys
from typing import Any

from cdzoo.benchmark import cases, read_run, run
from cdzoo.benchmark import compare as compare_runs
from cdzoo.cli.common import model_source, pick_device
from cdzoo.errors import ConfigError
from cdzoo.flops import expand
from cdzoo.io.files import write_text
from cdzoo.tables import check_format, render

_CASE = {
    "model": "model",
    "mode": "mode",
    "size": "size",
    "batch": "batch",
    "precision": "precision",
    "compiled": "compiled",
    "device": "device",
}
_COLUMNS = {
    **_CASE,
    "median_ms": "median ms:.1f",
    "spread": "quartiles ms",
    "min_ms": "min ms:.1f",
    "ratio": "to {against}:.2f",
    "pairs_per_s": "pairs/s:.1f",
    "peak_mb": "peak MB:.0f",
    "error": "",
}
_COMPARED = {
    **_CASE,
    "first_ms": "first ms:.1f",
    "second_ms": "second ms:.1f",
    "speedup": "times faster:.2f",
    "memory": "memory:.2f",
}


def benchmark(
    model: list[str] | None = None,
    mode: list[str] = ["forward"],  # noqa: B006  # read only
    size: list[int] = [256],  # noqa: B006
    batch: list[int] = [1],  # noqa: B006
    precision: list[str] = ["fp32"],  # noqa: B006
    compiled: list[bool] = [False],  # noqa: B006
    device: str = "auto",
    rounds: int = 10,
    warmup: int = 2,
    against: str | None = None,
    compare: list[str] | None = None,
    format: str = "table",
    output: str | None = None,
) -> None:
    """Time models side by side: latency, throughput and peak memory.

    Args:
        model: Names or wildcards, folders of runs, hf-hub:owner/name.
        mode: Modes: forward, training.
        size: Sides of the images in pixels.
        batch: Numbers of pairs.
        precision: Precisions: fp32, bf16.
        compiled: Through torch.compile: true, false or both.
        device: Device: auto, cpu or cuda.
        rounds: Timed calls of each case.
        warmup: Calls before them.
        against: Model that the others are compared with; the first one by default.
        compare: Two files written with --format json -o FILE to compare.
        format: Format: table, csv, json or markdown.
        output: File to write instead of printing.
    """
    check_format(format)
    if compare:
        if len(compare) != 2:
            raise ConfigError("--compare takes two files, the first one being what the second is compared with")
        rows = compare_runs(read_run(compare[0]), read_run(compare[1]))
        _give(render(rows, _shown(_COMPARED, rows), format), output)
        return
    if not model:
        raise ConfigError("name the models to time, or two files after --compare")
    names = expand(map(model_source, model))
    if against is not None and against not in names:
        names.append(against)
    chosen = str(pick_device(device))
    wanted = cases(names, mode=mode, size=size, batch=batch, precision=precision, compiled=compiled, device=[chosen])
    result = run(wanted, rounds, warmup, lambda line: print(line, file=sys.stderr, flush=True))
    rows = _rows(result, against or names[0])
    if output is not None and format == "json":
        write_text(output, json.dumps(result, indent=2) + "\n")
        print(f"{len(rows)} cases timed: {output}")
        return
    columns = {
        key: heading.format(against=against or names[0]) if "{" in heading else heading for key, heading in _COLUMNS.items()
    }
    text = (
        json.dumps(result, indent=2) + "\n" if format == "json" else render(rows, _shown(columns, rows), format, _notes(result))
    )
    _give(text, output)


def _give(text: str, output: str | None) -> None:
    if output is None:
        print(text, end="")
    else:
        write_text(output, text)
        print(f"written: {output}")


def _rows(result: dict[str, Any], against: str) -> list[dict[str, Any]]:
    base = {_rest(one): one["median_s"] for one in result["results"] if one["case"]["model"] == against and "median_s" in one}
    rows = []
    for one in result["results"]:
        row = {**one["case"], "error": one.get("error")}
        if "median_s" in one:
            low, high = (1e3 * value for value in one["quartiles_s"])
            row |= {"median_ms": 1e3 * one["median_s"], "min_ms": 1e3 * one["min_s"], "spread": f"{low:.1f}-{high:.1f}"}
            row |= {"pairs_per_s": one["pairs_per_s"], "peak_mb": one["peak_mb"]}
            row["ratio"] = one["median_s"] / base[_rest(one)] if _rest(one) in base else None
        rows.append(row)
    return rows


def _rest(one: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(value for key, value in one["case"].items() if key != "model")


def _shown(columns: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, str]:
    """Leave out columns that are empty, and settings that are the same in every row but the size."""
    kept = {}
    for key, heading in columns.items():
        values = {row.get(key) for row in rows}
        if values == {None} or (key in ("batch", "precision", "compiled", "device") and len(values) == 1):
            continue
        kept[key] = heading
    return kept


def _notes(result: dict[str, Any]) -> list[str]:
    hardware, versions = result["environment"]["hardware"], result["environment"]["versions"]
    scans = ", ".join(f"{backend} on {device}" for device, backend in result["scan_backends"].items())
    return [
        f"{hardware['name']} ({hardware['device']}), {hardware['threads']} threads, torch {versions['torch']}, scan {scans}; "
        f"median of {result['rounds']} interleaved rounds after {result['warmup']} warm-up calls. Peak: tensors beyond "
        "weights and inputs.",
    ]
