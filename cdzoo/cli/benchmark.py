"""`cdzoo benchmark`."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any, Literal

from cdzoo.cli.common import model_source, pick_device, print_or_write
from cdzoo.errors import ConfigError
from cdzoo.io.outputs import check_outputs
from cdzoo.tables import render

if TYPE_CHECKING:
    from cdzoo.benchmark import BenchmarkRun, Timing

_CASE = {name: name for name in ("model", "mode", "size", "batch", "precision", "compiled", "device")}
_COLUMNS = {
    **_CASE,
    "weights": "weights",
    "median_ms": "median ms:.1f",
    "quartiles": "quartiles ms",
    "min_ms": "min ms:.1f",
    "ratio": "to {against}:.2f",
    "pairs_per_s": "pairs/s:.1f",
    "peak_mb": "peak MB:.0f",
    "error": "error",
}
_COMPARED = {
    **_CASE,
    "first_ms": "first ms:.1f",
    "second_ms": "second ms:.1f",
    "speedup": "speedup:.2f",
    "memory": "memory ratio:.2f",
}


def benchmark(
    model: list[str] = [],  # noqa: B006  # read only
    *,
    mode: list[Literal["forward", "training"]] = ["forward"],  # noqa: B006
    size: list[int] = [256],  # noqa: B006
    batch: list[int] = [1],  # noqa: B006
    precision: list[Literal["fp32", "bf16"]] = ["fp32"],  # noqa: B006
    compiled: list[bool] = [False],  # noqa: B006
    device: str = "auto",
    rounds: int = 10,
    warmup: int = 2,
    against: str | None = None,
    compare: list[str] = [],  # noqa: B006
    format: Literal["table", "csv", "json", "markdown"] = "table",
    output: str | None = None,
) -> None:
    """Time models: latency, throughput and peak memory, side by side.

    Args:
        model: Names or wildcards ('glmamba*'), tags (MODEL.TAG), folders of runs, or hf-hub:owner/name.
        mode: Modes: forward, training.
        size: Heights and widths of the images in pixels.
        batch: Batch sizes in pairs.
        precision: Precisions: fp32, bf16.
        compiled: Compile with torch.compile: true, false or both.
        device: auto, cpu or cuda.
        rounds: Number of timed calls of each case.
        warmup: Number of untimed calls of each case before them.
        against: Model that the others are compared with; the first one by default.
        compare: Two files written with --format json -o FILE to compare; nothing is timed.
        format: Format of the table.
        output: File to write instead of printing.
    """
    from cdzoo.benchmark import cases, read_run, run
    from cdzoo.benchmark import compare as compare_runs
    from cdzoo.flops import expand

    check_outputs({"-o": output}, compare)
    if compare:
        if len(compare) != 2:
            raise ConfigError(f"--compare takes two files, got {len(compare)}")
        found = [_flat(one) for one in compare_runs(*map(read_run, compare))]
        print_or_write(render(found, _varying(_COMPARED, found), format), output)
        return
    if not model:
        raise ConfigError("name the models to time, or two files after --compare")
    names = expand(map(model_source, model))
    base = model_source(against or names[0])
    sweeps: dict[str, list[Any]] = {"mode": mode, "size": size, "batch": batch, "precision": precision, "compiled": compiled}
    wanted = cases(list(dict.fromkeys([*names, base])), **sweeps, device=[str(pick_device(device))])
    result = run(wanted, rounds, warmup, lambda line: print(line, file=sys.stderr, flush=True))
    if format == "json":
        print_or_write(result.to_json(), output)
        return
    bases = {timing.case.group: timing for timing in result.results if timing.case.model == base}
    rows = [_row(timing, bases[timing.case.group]) for timing in result.results]
    columns = {**_COLUMNS, "ratio": _COLUMNS["ratio"].format(against=base)}
    print_or_write(render(rows, _varying(columns, rows), format, [_conditions(result)]), output)


def _flat(result: Any) -> dict[str, Any]:
    """Return a result as a row of a table, with the fields of its case."""
    row = dataclasses.asdict(result)
    return {**row.pop("case"), **row}


def _row(timing: Timing, base: Timing) -> dict[str, Any]:
    if timing.median_s is None or timing.min_s is None or timing.quartiles_s is None:
        return _flat(timing)
    return {
        **_flat(timing),
        "median_ms": 1e3 * timing.median_s,
        "min_ms": 1e3 * timing.min_s,
        "quartiles": "-".join(f"{1e3 * seconds:.1f}" for seconds in timing.quartiles_s),
        "ratio": timing.median_s / base.median_s if base.median_s else None,
    }


def _varying(columns: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, str]:
    """Omit empty columns, and settings other than mode and size with the same value in every row."""
    values = {key: {row.get(key) for row in rows} for key in columns}
    constant = [key for key in ("batch", "precision", "compiled", "device") if len(values[key]) == 1]
    return {key: heading for key, heading in columns.items() if values[key] != {None} and key not in constant}


def _conditions(result: BenchmarkRun) -> str:
    hardware, versions = result.environment.hardware, result.environment.versions
    scans = ", ".join(f"{backend} on {device}" for device, backend in result.scan_backends.items())
    return (
        f"{hardware.name} ({hardware.device}), {hardware.threads} threads, torch {versions['torch']}, scan {scans}; "
        f"median of {result.rounds} interleaved rounds after {result.warmup} warm-up calls. Peak: tensors beyond weights "
        "and inputs."
    )
