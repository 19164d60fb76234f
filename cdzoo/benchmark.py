"""How fast models run and what memory they take: side by side in one process, round after round.

A busy machine slows everything that runs in a round alike, so ratios of medians within one run can be trusted where
milliseconds cannot. On a GPU the device is waited for before the clock is read.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cdzoo.errors import ConfigError, InputError
from cdzoo.factory import create_model
from cdzoo.losses import create_loss
from cdzoo.models.detector import ChangeDetector
from cdzoo.names import suggest
from cdzoo.ops.backends import choose
from cdzoo.results import Environment

MODES = ("forward", "training")
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Case:
    """What is timed.

    Attributes:
        model: As `create_model` takes it.
        mode: `"forward"` without gradients, or `"training"`: loss, backward and an AdamW step.
        size: Side of the images in pixels.
        batch: Pairs.
        precision: `"fp32"` or `"bf16"` (autocast).
        compiled: Through torch.compile.
        device: `"cpu"` or `"cuda"`.
    """

    model: str
    mode: str = "forward"
    size: int = 256
    batch: int = 1
    precision: str = "fp32"
    compiled: bool = False
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        for label, value, known in (("mode", self.mode, MODES), ("precision", self.precision, PRECISIONS)):
            if value not in known:
                raise ConfigError(f"there is no {label} '{value}'.{suggest(value, known)} Known: {', '.join(known)}")
        if self.size < 32 or self.batch < 1:
            raise ConfigError(f"size must be at least 32 and batch positive, got {self.size} and {self.batch}")


def cases(models: Sequence[str], **sweeps: Sequence[Any]) -> list[Case]:
    """Return a case per model and combination of `mode`, `size`, `batch`, `precision`, `compiled` and `device`."""
    keys = list(sweeps)
    return [Case(model, **dict(zip(keys, chosen, strict=True))) for chosen in product(*sweeps.values()) for model in models]


def run(
    wanted: Sequence[Case], rounds: int = 10, warmup: int = 2, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Time cases; those that differ only in the model are interleaved.

    Args:
        wanted: What to time.
        rounds: Timed calls of each case.
        warmup: Calls before them that are not counted.
        say: Takes a line for each group of cases.

    Returns:
        Environment, settings, and a result for each case: seconds (median, minimum, quartiles), pairs a second, peak memory
        beyond weights and inputs in MB, memory of the weights, and the error of a case that could not run.

    Raises:
        ConfigError: `rounds` or `warmup` cannot be.
        UnknownNameError: There is no such model.
    """
    if rounds < 1 or warmup < 0:
        raise ConfigError(f"rounds must be at least 1 and warmup not negative, got {rounds} and {warmup}")
    groups: dict[tuple[Any, ...], list[Case]] = {}
    for case in wanted:
        groups.setdefault((case.mode, case.size, case.batch, case.precision, case.compiled, case.device), []).append(case)
    results: list[dict[str, Any]] = []
    for number, group in enumerate(groups.values(), 1):
        one = group[0]
        say(
            f"[{number}/{len(groups)}] {one.mode} {one.batch} x {one.size} {one.precision} {one.device}"
            f"{' compiled' if one.compiled else ''}: {', '.join(case.model for case in group)}"
        )
        results += _run_group(group, rounds, warmup)
    devices = sorted({case.device for case in wanted})
    return {
        "environment": asdict(Environment.current(devices[-1] if devices else "cpu")),
        "scan_backends": {device: choose(device) for device in devices},
        "rounds": rounds,
        "warmup": warmup,
        "results": results,
    }


def compare(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    """Return for every case that both runs timed the two medians and how many times faster the second is.

    Raises:
        InputError: They have no case in common.
    """
    known = {_identity(result): result for result in first["results"] if "median_s" in result}
    rows = []
    for result in second["results"]:
        before = known.get(_identity(result))
        if before is None or "median_s" not in result:
            continue
        rows.append(
            {
                **result["case"],
                "first_ms": 1e3 * before["median_s"],
                "second_ms": 1e3 * result["median_s"],
                "speedup": before["median_s"] / result["median_s"],
                "memory": result["peak_mb"] / before["peak_mb"] if before.get("peak_mb") and result.get("peak_mb") else None,
            }
        )
    if not rows:
        raise InputError("the two runs have no case in common, so there is nothing to compare")
    return rows


def read_run(path: str | Path) -> dict[str, Any]:
    """Read what `cdzoo benchmark -o` wrote.

    Raises:
        InputError: It is no such file.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not isinstance(data, dict) or not isinstance(data.get("results"), list):
        raise InputError(f"{path}: not written by cdzoo benchmark -o")
    return data


def _identity(result: dict[str, Any]) -> str:
    return json.dumps(result["case"], sort_keys=True)


def _run_group(group: Sequence[Case], rounds: int, warmup: int) -> list[dict[str, Any]]:
    results: dict[Case, dict[str, Any]] = {case: {"case": asdict(case)} for case in group}
    ready: dict[Case, Callable[[], None]] = {}
    times: dict[Case, list[float]] = {case: [] for case in group}
    for case in group:
        model = create_model(case.model)
        try:
            call = _prepare(case, model)
            for _ in range(warmup):
                _timed(call, case.device)
            results[case]["weights_mb"] = sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6
            results[case]["peak_mb"] = _peak_memory(call, case.device) / 1e6
            ready[case] = call
        except RuntimeError as error:  # out of memory, or what the compiler cannot do: the others still count
            results[case]["error"] = str(error).strip().split("\n")[0]
    for _ in range(rounds):
        for case, call in ready.items():
            times[case].append(_timed(call, case.device))
    for case in ready:
        results[case] |= _spread(times[case], case.batch)
    return list(results.values())


def _prepare(case: Case, model: ChangeDetector) -> Callable[[], None]:
    device = torch.device(case.device)
    generator = torch.Generator().manual_seed(0)
    shape = (case.batch, case.size, case.size)
    t1, t2 = (torch.randn(shape[0], bands, *shape[1:], generator=generator).to(device) for bands in model.bands)
    model.to(device).train(case.mode == "training")

    def autocast() -> AbstractContextManager[Any]:
        return torch.autocast(device.type, torch.bfloat16) if case.precision == "bf16" else nullcontext()

    if case.mode == "forward":
        network: Any = torch.compile(model) if case.compiled else model

        def forward() -> None:
            with torch.inference_mode(), autocast():
                network(t1, t2)

        return forward

    mask = (torch.rand(*shape, generator=generator) < 0.1).long().to(device)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    criterion = create_loss("bce")

    def objective(first: Tensor, second: Tensor) -> Tensor:
        return criterion(model(first, second), mask)

    loss: Any = torch.compile(objective) if case.compiled else objective

    def training() -> None:
        with autocast():
            value = loss(t1, t2)
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
    """Return the most bytes that tensors took during a call beyond those that were there before."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's library reports its start and end otherwise
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    events: Iterable[Any] = profiler.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def _spread(seconds: Sequence[float], batch: int) -> dict[str, Any]:
    quartiles = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else [seconds[0]] * 3
    median = statistics.median(seconds)
    return {
        "median_s": median,
        "min_s": min(seconds),
        "quartiles_s": [quartiles[0], quartiles[2]],
        "pairs_per_s": batch / median,
    }
