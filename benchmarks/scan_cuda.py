"""Check and measure the scan on a GPU within a time budget: ``python benchmarks/scan_cuda.py --out results.json``.

In order: every kernel against `reference` in float64; the scan of SS2D, forward and training, with each backend and with VMamba's
way of doing it (four permuted copies of the map, scanned as one sequence of channels, and merged), with the bytes that each case
must move and the rate of a copy to compare them with; two networks end to end. Cases that exceed the budget are listed
as skipped. Candidates run interleaved; times are measured with CUDA events, as minimum and median over the rounds. Small
problems are limited by Python, so the replay of a CUDA graph of each scan is timed, too, which is the time of the kernels alone.

``--device cpu --quick`` runs the same script on tiny problems, which checks it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from scan_table import cuda_table
from torch import Tensor

import cdzoo
from cdzoo.ops import scan_backends, scan_index, selective_scan, set_scan_backend, ss2d_scan
from cdzoo.ops.args import ScanArgs
from cdzoo.ops.selfcheck import relative_error

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def problem(batch: int, side: int, channels: int, state: int, dtype: torch.dtype, device: str) -> ScanArgs:
    """Return the leaf tensors of a cross-scan, with maps in a storage type."""
    gen = torch.Generator().manual_seed(0)
    shapes = [(batch, side, side, channels), (4, batch, side, side, channels), (4, channels, state)]
    shapes += [(batch, side, side, 4, state)] * 2 + [(4, channels)] * 2
    x, delta, A, B, C, D, bias = (torch.randn(shape, generator=gen).to(device) for shape in shapes)
    A = -torch.arange(1.0, state + 1, device=device).expand_as(A).contiguous()
    maps = [t.to(dtype) for t in (x, delta - 2, B, C)]
    return ScanArgs(*(t.requires_grad_() for t in (maps[0], maps[1], A, maps[2], maps[3], D, bias)))


def clock(run: Callable[[], Any], device: str) -> float:
    """Return the milliseconds of one call."""
    if device == "cpu":
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) * 1e3
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    run()
    last.record()
    last.synchronize()
    return first.elapsed_time(last)


def in_turn(runs: dict[str, Callable[[], Any]], device: str, rounds: int, graphs: bool = False) -> dict[str, Any]:
    """Time candidates interleaved and return their times and peak memory; for a candidate that fails, its error."""
    result: dict[str, Any] = {}
    for name, run in runs.items():
        try:
            run()  # compiles and allocates
            if device == "cuda":
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
            run()
            peak = torch.cuda.max_memory_allocated() - before if device == "cuda" else None
            result[name] = {"extra_bytes": peak}
        except Exception as error:
            result[name] = {"error": f"{type(error).__name__}: {error}"[:300]}
    times: dict[str, list[float]] = {name: [] for name, entry in result.items() if "error" not in entry}
    for _ in range(rounds):
        for name, values in times.items():
            values.append(clock(runs[name], device))
    for name, values in times.items():
        result[name] |= {"min_ms": min(values), "median_ms": statistics.median(values)}
        if graphs and device == "cuda":
            result[name] |= graph_time(runs[name], rounds)
    return result


def graph_time(run: Callable[[], Any], rounds: int) -> dict[str, Any]:
    """Return the shortest time of a replay of a function that was captured in a CUDA graph."""
    graph = torch.cuda.CUDAGraph()
    try:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            run()
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(graph):
            run()
        graph.replay()
        return {"graph_ms": min(clock(graph.replay, "cuda") for _ in range(rounds))}
    except RuntimeError as error:
        return {"graph_error": str(error)[:200]}


def check(names: list[str], device: str, quick: bool) -> Iterator[dict[str, Any]]:
    """Compare backends with float64, outputs and gradients, for both storage types."""
    sizes = [(1, 5, 6)] if quick else [(2, 33, 80), (1, 48, 192), (4, 16, 384)]
    for batch, side, channels in sizes:
        for state in (1, 4, 7, 16):
            for label, dtype in DTYPES.items():
                args = problem(batch, side, channels, state, dtype, device)
                exact = ScanArgs(*(t.detach().double().requires_grad_() for t in args))
                expected = ss2d_scan(*exact)
                grad = torch.randn_like(expected)
                wanted = torch.autograd.grad(expected, exact, grad)
                for name in names:
                    with set_scan_backend(name):
                        y = ss2d_scan(*args)
                        found = torch.autograd.grad(y, args, grad.to(y.dtype))
                    errors = {"y": relative_error(y, expected)}
                    errors |= {n: relative_error(a, b) for n, a, b in zip(args._fields, found, wanted, strict=True)}
                    limit = 1e-4 if dtype == torch.float32 else 2e-2
                    # Outputs of half precision are rounded to 8 bits, and so is the gradient that goes in.
                    good = all(error <= limit for error in errors.values())
                    case = {"backend": name, "size": [batch, side, channels], "states": state, "dtype": label}
                    yield {**case, "correct": good, "errors": errors}


def vmamba_scan(args: ScanArgs) -> Tensor:
    """Scan a map as VMamba does: copies of the map in four orders, one sequence of 4 Dm channels, and a merge of four maps."""
    x = args.x.permute(0, 3, 1, 2)  # (B, Dm, H, W)
    batch, channels, height, width = x.shape
    rows, columns = x.flatten(2), x.transpose(2, 3).flatten(2)
    u = torch.stack([rows, columns, rows.flip(2), columns.flip(2)], 1).flatten(1, 2)
    path = scan_index("cross", height, width, str(x.device)).long()
    delta = torch.stack([args.delta[k].flatten(1, 2)[:, p].transpose(1, 2) for k, p in enumerate(path)], 1).flatten(1, 2)
    B, C = (torch.stack([t.flatten(1, 2)[:, p, k].transpose(1, 2) for k, p in enumerate(path)], 1) for t in (args.B, args.C))
    weights = (args.A.flatten(0, 1), B, C, args.D.flatten())
    y = selective_scan(u, delta, *weights, None, args.delta_bias.flatten(), True).view(batch, 4, channels, -1)
    forth = y[:, :2] + y[:, 2:].flip(3)
    across = forth[:, 1].view(batch, channels, width, height).transpose(2, 3).flatten(2)
    return (forth[:, 0] + across).view(batch, channels, height, width).permute(0, 2, 3, 1)


def scans(names: list[str], device: str, quick: bool, rounds: int) -> Iterator[dict[str, Any]]:
    """Time the scan of SS2D, forward and training."""
    sizes = [(1, 6, 8)] if quick else [(2, 64, 192), (16, 64, 192), (8, 32, 384)]
    for batch, side, channels in sizes:
        for state in (1, 4, 16):
            for label, dtype in DTYPES.items():
                args = problem(batch, side, channels, state, dtype, device)
                for mode in ("forward", "training"):
                    used = [name for name in names if quick or name != "reference"]  # which takes 200 ms and more
                    runs = {name: _runner(name, ss2d_scan, args, mode == "training") for name in used}
                    runs |= {f"vmamba with {name}": _runner(name, lambda *t: vmamba_scan(ScanArgs(*t)), args, mode == "training")
                             for name in names if name != "reference"}  # fmt: skip
                    entry = {"size": [batch, side, channels], "states": state, "dtype": label, "mode": mode}
                    times = in_turn(runs, device, rounds, graphs=True)
                    yield {
                        **entry,
                        "times": times,
                        "ratios": _ratios(times),
                        "graph_ratios": _ratios(times, "graph_ms"),
                        "moved_bytes": _least_bytes(args, mode == "training"),
                    }


def _runner(backend: str, function: Callable[..., Tensor], args: ScanArgs, train: bool) -> Callable[[], None]:
    def run() -> None:
        with set_scan_backend(backend), torch.set_grad_enabled(train):
            y = function(*args)
            if train:
                torch.autograd.grad(y, args, torch.ones_like(y))

    return run


def _ratios(times: dict[str, Any], key: str = "min_ms") -> dict[str, float]:
    """Return the times of the other candidates divided by that of `triton`."""
    own = times.get("triton", {}).get(key)
    return {name: entry[key] / own for name, entry in times.items() if own and key in entry}


def _least_bytes(args: ScanArgs, train: bool) -> int:
    """Return the bytes of the inputs and the output, each once; three times that for training, whose gradients are as large."""
    return (sum(t.numel() * t.element_size() for t in args) + args.x.numel() * args.x.element_size()) * (3 if train else 1)


def bandwidth(device: str, quick: bool) -> float:
    """Return bytes per second of a copy."""
    source = torch.empty(1 << (16 if quick else 28), device=device)
    target = torch.empty_like(source)
    run = lambda: target.copy_(source)  # noqa: E731
    run()
    return 2 * source.numel() * 4 / min(clock(run, device) for _ in range(5)) * 1e3


def networks(names: list[str], device: str, quick: bool, rounds: int) -> Iterator[dict[str, Any]]:
    """Time two networks end to end, fp32 and autocast to bf16."""
    batch, side = (1, 64) if quick else (4, 256)
    for model_name in ("glmamba_levir", "mambabcd_tiny"):
        model = cdzoo.create_model(model_name).to(device)
        pair = [torch.randn(batch, 3, side, side, device=device) for _ in range(2)]
        for label in DTYPES:
            for mode in ("forward", "training"):
                runs = {
                    name: _step(model, pair, name, label, device, mode == "training") for name in names if name != "reference"
                }
                times = in_turn(runs, device, max(2, rounds // 3))
                entry = {"model": model_name, "batch": batch, "side": side, "dtype": label, "mode": mode}
                yield {**entry, "times": times, "ratios": _ratios(times)}


def _step(model: torch.nn.Module, pair: list[Tensor], backend: str, label: str, device: str, train: bool) -> Callable[[], None]:
    def run() -> None:
        model.train(train)
        cast = torch.autocast(device, dtype=torch.bfloat16, enabled=label == "bf16")
        with set_scan_backend(backend), torch.set_grad_enabled(train), cast:
            logits = model(*pair)
            if train:
                logits = next(iter(logits.values())) if isinstance(logits, dict) else logits
                logits.float().square().mean().backward()
                model.zero_grad(set_to_none=True)

    return run


def main() -> int:
    """Run the command line; 1 if a kernel is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--table", type=Path, metavar="REPORT", help="print the table of a report and do nothing else")
    parser.add_argument("--budget", type=float, default=240.0, help="time in seconds after which no further case is started")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="tiny problems, two rounds")
    chosen = parser.parse_args()
    if chosen.table:
        print(cuda_table(json.loads(chosen.table.read_text())))
        return 0
    if not chosen.out:
        parser.error("--out is required")
    if chosen.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device is visible to torch (check nvidia-smi)")
    end, device, rounds = time.monotonic() + chosen.budget, chosen.device, 2 if chosen.quick else chosen.rounds
    backends = {b.name: b for b in scan_backends()}
    names = [name for name, b in backends.items() if (b.usable and (name == "cpu") == (device == "cpu")) or name == "reference"]
    report: dict[str, Any] = {
        "card": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "versions": {"torch": torch.__version__, "cuda": torch.version.cuda, "cdzoo": cdzoo.__version__},
        "backends": names,
        "copy_bytes_per_s": bandwidth(device, chosen.quick),
        "skipped": [],
    }
    fast = [name for name in names if name != "reference"]
    sections = {
        "correctness": check(fast, device, chosen.quick),
        "scans": scans(names, device, chosen.quick, rounds),
        "networks": networks(names, device, chosen.quick, rounds),
    }
    shares = {"correctness": 0.25, "scans": 0.7, "networks": 1.0}
    for section, entries in sections.items():
        report[section] = []
        limit = end - chosen.budget * (1 - shares[section])
        for entry in entries:
            report[section].append(entry)
            print(section, json.dumps(entry)[:400], flush=True)
            if time.monotonic() > limit:
                report["skipped"].append(f"{section} after entry {len(report[section])}")
                break
        # Written after every section, so that an interrupted run keeps its results.
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(json.dumps(report, indent=1) + "\n")
    wrong = [entry for entry in report["correctness"] if not entry["correct"]]
    print(f"{len(report['correctness']) - len(wrong)} checks passed, {len(wrong)} failed; report: {chosen.out}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
