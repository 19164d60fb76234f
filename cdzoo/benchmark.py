"""Latency, throughput and peak memory of models, timed side by side in one process.

Cases that differ only in the model are timed interleaved, in rounds: on a busy machine, the ratios of their medians are more
reliable than the times themselves. GPUs are synchronized before the clock is read.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, TypeAdapter
from torch import Tensor

from cdzoo.constants import MIN_SIZE
from cdzoo.errors import CdzooError, ConfigError, InputError
from cdzoo.factory import create_model
from cdzoo.losses import create_loss
from cdzoo.models.detector import ChangeDetector
from cdzoo.ops.backends import choose
from cdzoo.results import Environment
from cdzoo.validation import config_dataclass


@config_dataclass
class Case:
    """Model and settings of one timing.

    Attributes:
        model: Name of a model, as for `create_model`.
        mode: `"forward"` without gradients, or `"training"`: loss, backward and an AdamW step.
        size: Side of the images in pixels; the network is run at `input_scale` times that.
        batch: Number of pairs.
        precision: `"fp32"`, or `"bf16"` (autocast).
        compiled: Compile with torch.compile.
        device: `"cpu"` or `"cuda"`.
    """

    model: str
    mode: Literal["forward", "training"] = "forward"
    size: Annotated[int, Field(ge=MIN_SIZE)] = 256
    batch: Annotated[int, Field(ge=1)] = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    compiled: bool = False
    device: str = "cpu"

    @property
    def group(self) -> tuple[Any, ...]:
        """Everything but the model."""
        return dataclasses.astuple(self)[1:]


@dataclass(frozen=True)
class Timing:
    """Result of a case. Fields that were not measured are None.

    Attributes:
        case: The case.
        error: First line of the error of a case that failed.
        weights_mb: Memory of the weights.
        peak_mb: Peak memory beyond weights and inputs.
        median_s: Median time of a call in seconds.
        min_s: Minimum.
        quartiles_s: First and third quartile.
        pairs_per_s: Throughput at the median.
        weights: Name of the weights, or "random weights".
    """

    case: Case
    error: str | None = None
    weights_mb: float | None = None
    peak_mb: float | None = None
    median_s: float | None = None
    min_s: float | None = None
    quartiles_s: tuple[float, float] | None = None
    pairs_per_s: float | None = None
    weights: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Medians of a case in two runs in milliseconds, the first divided by the second, and the second peak memory by the first."""

    case: Case
    first_ms: float
    second_ms: float
    speedup: float
    memory: float | None


@dataclass(frozen=True)
class BenchmarkRun:
    """Results of `run`.

    Attributes:
        environment: Versions and hardware.
        scan_backends: Backend of the selective scan on each device.
        rounds: Number of timed calls of each case.
        warmup: Number of untimed calls of each case before the timed ones.
        results: Timing of each case.
    """

    environment: Environment
    scan_backends: dict[str, str]
    rounds: int
    warmup: int
    results: list[Timing] = field(default_factory=list)

    def to_json(self) -> str:
        """Return JSON that `read_run` reads; fields that are None are omitted."""
        data = dataclasses.asdict(self)
        data["results"] = [{key: value for key, value in timing.items() if value is not None} for timing in data["results"]]
        return json.dumps(data, indent=2) + "\n"


def cases(models: Sequence[str], **sweeps: Sequence[Any]) -> list[Case]:
    """Return a case per model and combination of `mode`, `size`, `batch`, `precision`, `compiled` and `device`."""
    combinations = [dict(zip(sweeps, values, strict=True)) for values in itertools.product(*sweeps.values())]
    return [Case(model, **values) for values in combinations for model in models]


def run(
    wanted: Sequence[Case], rounds: int = 10, warmup: int = 2, report: Callable[[str], None] = lambda line: None
) -> BenchmarkRun:
    """Time cases. A case that fails, such as for lack of memory, does not stop the others.

    Args:
        wanted: Cases.
        rounds: Number of timed calls of each case.
        warmup: Number of calls before them.
        report: Called with a line for each group of cases that differ only in the model.

    Raises:
        ConfigError: `rounds` or `warmup` is out of range.
        UnknownNameError: A model does not exist.
    """
    if rounds < 1 or warmup < 0:
        raise ConfigError(f"rounds must be at least 1 and warmup not negative, got {rounds} and {warmup}")
    groups: dict[tuple[Any, ...], list[Case]] = {}
    for case in wanted:
        groups.setdefault(case.group, []).append(case)
    results: list[Timing] = []
    for number, group in enumerate(groups.values(), 1):
        first, names = group[0], ", ".join(case.model for case in group)
        settings = f"{first.mode} {first.batch} x {first.size} {first.precision} {first.device}"
        report(f"[{number}/{len(groups)}] {settings}{' compiled' if first.compiled else ''}: {names}")
        results += _run_group(group, rounds, warmup)
    devices = sorted({case.device for case in wanted})
    backends = {device: choose(device) for device in devices}
    return BenchmarkRun(Environment.current(devices[-1] if devices else "cpu"), backends, rounds, warmup, results)


def compare(first: BenchmarkRun, second: BenchmarkRun) -> list[Comparison]:
    """Return the medians of every case that both runs timed.

    Raises:
        InputError: They have no case in common.
    """
    known = {timing.case: timing for timing in first.results}
    found = []
    for timing in second.results:
        before = known.get(timing.case)
        if before is None or before.median_s is None or timing.median_s is None:
            continue
        memory = timing.peak_mb / before.peak_mb if before.peak_mb and timing.peak_mb else None
        medians = (1e3 * before.median_s, 1e3 * timing.median_s)
        found.append(Comparison(timing.case, *medians, before.median_s / timing.median_s, memory))
    if not found:
        raise InputError("the two runs have no case in common")
    return found


def read_run(path: str | Path) -> BenchmarkRun:
    """Read a file written by `cdzoo benchmark --format json -o FILE`.

    Raises:
        InputError: The file cannot be read, or is another one.
    """
    try:
        return TypeAdapter(BenchmarkRun).validate_json(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    except (ValueError, CdzooError) as error:
        raise InputError(f"{path}: not written by cdzoo benchmark --format json -o FILE ({error})") from error


def _run_group(group: Sequence[Case], rounds: int, warmup: int) -> list[Timing]:
    results: dict[Case, Timing] = {}
    ready: dict[Case, Callable[[], None]] = {}
    for case in group:
        model = create_model(case.model)
        try:
            call = _prepare(case, model)
            for _ in range(warmup):
                _timed(call, case.device)
            weights = sum(p.numel() * p.element_size() for p in model.parameters())
            peak = _peak_memory(call, case.device) / 1e6
            results[case] = Timing(case, weights_mb=weights / 1e6, peak_mb=peak, weights=str(model.origin or "random weights"))
            ready[case] = call
        except RuntimeError as error:  # out of memory, or not supported by the compiler
            results[case] = Timing(case, error=str(error).strip().split("\n")[0])
    times: dict[Case, list[float]] = {case: [] for case in ready}
    for _ in range(rounds):
        for case, call in ready.items():
            times[case].append(_timed(call, case.device))
    for case, seconds in times.items():
        first, median, third = statistics.quantiles(seconds, n=4) if rounds > 1 else seconds * 3
        results[case] = dataclasses.replace(
            results[case], median_s=median, min_s=min(seconds), quartiles_s=(first, third), pairs_per_s=case.batch / median
        )
    return list(results.values())


def _prepare(case: Case, model: ChangeDetector) -> Callable[[], None]:
    device = torch.device(case.device)
    generator = torch.Generator().manual_seed(0)
    side = max(MIN_SIZE, round(case.size * model.config.input_scale))
    shape = (case.batch, side, side)
    x1, x2 = (torch.randn(shape[0], bands, *shape[1:], generator=generator).to(device) for bands in model.bands)
    model.to(device).train(case.mode == "training")
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=case.precision == "bf16")

    if case.mode == "forward":
        network: Any = torch.compile(model) if case.compiled else model

        def forward() -> None:
            with torch.inference_mode(), autocast:
                network(x1, x2)

        return forward

    target = (torch.rand(*shape, generator=generator) < 0.1).long().to(device)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    criterion = create_loss("bce")

    def objective(x1: Tensor, x2: Tensor) -> Tensor:
        return criterion(model(x1, x2), target)

    loss: Any = torch.compile(objective) if case.compiled else objective

    def training() -> None:
        with autocast:
            value = loss(x1, x2)
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return training


def _timed(call: Callable[[], None], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _peak_memory(call: Callable[[], None], device: str) -> float:
    """Return the peak number of bytes of the tensors that a call allocates."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler logs its start and end
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    events: Iterable[Any] = profiler.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    return max(itertools.accumulate((change for _, change in changes), initial=0))
