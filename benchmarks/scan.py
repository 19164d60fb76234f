"""Time every scan backend side by side: ``python benchmarks/scan.py --out benchmarks/results/scan_cpu.json``.

All candidates run interleaved in one process, so that a busy machine slows them equally. On the CPU, the time of a candidate is
the CPU time of one thread (minimum and median over the rounds); on a GPU, it is the synchronized wall time. Besides the backends
of cdzoo there is ``published``: the step-by-step algorithm that mamba-ssm publishes as its reference, reimplemented below. It is
what users fall back to without the CUDA kernel.

``--device cuda`` compares triton, mamba_ssm and reference on a GPU; ``--quick`` takes seconds and checks the script.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from roofline import clock, roofline

from cdzoo.ops import scan_backends, scan_cpu, scan_index, set_scan_backend, ss2d_scan


@dataclass(frozen=True)
class Case:
    """Maps of one or more stages of a model, each as (channels, side); the time of a case is their sum."""

    name: str
    batch: int
    state: int
    stages: tuple[tuple[int, int], ...]
    train: bool = True
    published: bool = False  # the step-by-step algorithm takes seconds, and its backward pass hours on large maps


def cases(quick: bool) -> list[Case]:
    """Return the sizes: the acceptance case and the four stages of two models for one pair of images."""
    if quick:
        return [Case("tiny", 2, 4, ((32, 8),), published=True)]
    glmamba, mambabcd = (80, 160, 320, 640), (192, 384, 768, 1536)
    return [
        Case("D192_64x64_N16", 2, 16, ((192, 64),), published=True),
        Case("D192_64x64_N4", 2, 4, ((192, 64),)),
        Case("D192_64x64_N1", 2, 1, ((192, 64),), published=True),
        Case("D192_16x16_N16", 2, 16, ((192, 16),)),
        *(
            Case(f"{name}_{side}", 2, state, tuple((d, side // (4 << i)) for i, d in enumerate(widths)), train=side == 256)
            for name, widths, state in (("glmamba_levir", glmamba, 16), ("mambabcd_tiny", mambabcd, 1))
            for side in (256, 512)
        ),
    ]


def make(case: Case, device: str) -> list[list[torch.Tensor]]:
    """Return x, delta, A, B, C, D, delta_bias of each stage as leaves."""
    gen, problems = torch.Generator().manual_seed(0), []
    for channels, side in case.stages:
        shapes = [(case.batch, side, side, channels), (4, case.batch, side, side, channels), (4, channels, case.state)]
        shapes += [(case.batch, side, side, 4, case.state)] * 2 + [(4, channels)] * 2
        tensors = [torch.randn(s, generator=gen) for s in shapes]
        tensors[1] -= 2.0
        tensors[2] = -torch.arange(1.0, case.state + 1).expand(shapes[2]).clone()  # the usual initial A
        problems.append([t.to(device).requires_grad_() for t in tensors])
    return problems


def published(x, delta, A, B, C, D, bias) -> torch.Tensor:
    """The sequential algorithm as SS2D blocks call it: the directions are groups of one long channel axis.

    B and C are expanded to the channels of their groups, whole (B, K Dm, L, N) tensors are discretized at once, and then the
    recurrence runs one step at a time.
    """
    batch, height, width, channels = x.shape
    paths = scan_index("cross", height, width, str(x.device)).long()
    count, length = paths.shape
    u = x.flatten(1, 2)[:, paths].permute(0, 1, 3, 2).flatten(1, 2)  # (B, K Dm, L)
    raw = torch.stack([delta[k].flatten(1, 2)[:, p].transpose(1, 2) for k, p in enumerate(paths)], 1).flatten(1, 2)
    dt = torch.nn.functional.softplus(raw + bias.flatten()[:, None])

    def spread(t: torch.Tensor) -> torch.Tensor:
        grouped = torch.stack([t.flatten(1, 2)[:, p, k].transpose(1, 2) for k, p in enumerate(paths)], 1)  # (B, K, N, L)
        return grouped.repeat_interleave(channels, dim=1)

    b, c = spread(B), spread(C)
    decay = torch.exp(torch.einsum("bdl,dn->bdln", dt, A.flatten(0, 1)))
    drive = torch.einsum("bdl,bdnl,bdl->bdln", dt, b, u)
    state, outputs = u.new_zeros(batch, count * channels, A.shape[2]), []
    for t in range(length):
        state = decay[:, :, t] * state + drive[:, :, t]
        outputs.append(torch.einsum("bdn,bdn->bd", state, c[..., t]))
    y = (torch.stack(outputs, 2) + u * D.flatten()[:, None]).view(batch, count, channels, length)
    total = x.new_zeros(batch, length, channels)
    for k, p in enumerate(paths):
        total = total.index_add(1, p, y[:, k].transpose(1, 2))
    return total.view(x.shape)


@contextmanager
def selected(name: str):
    """Select the backend of ``ss2d_scan`` by the name of a candidate, such as ``cpu-avx2``."""
    backend, _, isa = name.partition("-")
    with set_scan_backend(backend):
        if isa:
            os.environ["CDZOO_SCAN_ISA"] = isa
        try:
            yield
        finally:
            os.environ.pop("CDZOO_SCAN_ISA", None)


def candidates(device: str) -> list[str]:
    """Return the names of the candidates that can run; on the CPU one per compiled instruction set."""
    if device == "cuda":
        return [b.name for b in scan_backends() if b.usable and b.name != "cpu"]
    return [*(f"cpu-{isa}" for isa in scan_cpu.built()), "reference"]


def runner(name: str, problems: list[list[torch.Tensor]], train: bool) -> Callable[[], None]:
    """Return one forward pass, or one forward and backward pass, over all stages."""
    function = published if name == "published" else ss2d_scan

    def run() -> None:
        with torch.set_grad_enabled(train):
            for tensors in problems:
                y = function(*tensors)
                if train:
                    torch.autograd.grad(y, tensors, torch.ones_like(y))

    return run


def summary(times: list[float]) -> dict[str, float]:
    """Minimum, median and spread (interquartile range over median) of a list of milliseconds."""
    quarters = statistics.quantiles(times, n=4) if len(times) > 1 else [times[0]] * 3
    middle = statistics.median(times)
    return {"min_ms": min(times), "median_ms": middle, "spread": (quarters[2] - quarters[0]) / middle, "runs": len(times)}


def interleave(runs: dict[str, Callable[[], None]], device: str, rounds: int, slow_rounds: int, wall: bool = False) -> dict:
    """Time candidates interleaved; the slow ones in the first rounds only."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for name, run in runs.items():
        if name != "published":
            run()  # first calls load, check and allocate
    for i in range(rounds):
        for name, run in runs.items():
            limit = 1 if name == "published" else slow_rounds if name == "reference" else rounds
            if i < limit:
                times[name].append(clock(run, device, wall))
    return {name: summary(values) for name, values in times.items()}


def measure_case(case: Case, device: str, rounds: int, roof: dict) -> dict:
    """Time all candidates on one case; return ratios to the reference, the published algorithm and the roofline too."""
    problems, names = make(case, device), candidates(device)
    record: dict = {"case": asdict(case)}

    def wrapped(name: str, train: bool) -> Callable[[], None]:
        run = runner(name, problems, train)

        def inside() -> None:
            with selected(name):
                run()

        return run if name == "published" else inside

    for mode in ("forward", "training") if case.train else ("forward",):
        train = mode == "training"
        extra = ["published"] if case.published and (not train or case.stages[0][1] <= 16) else []
        times = interleave({n: wrapped(n, train) for n in [*names, *extra]}, device, rounds, max(2, rounds // 3))
        floor = roofline_ms(case, roof, train)
        for name, entry in times.items():
            entry["speedup_over_reference"] = times["reference"]["min_ms"] / entry["min_ms"]
            if extra:
                entry["speedup_over_published"] = times["published"]["min_ms"] / entry["min_ms"]
            entry["times_roofline"] = entry["min_ms"] / floor
            print(f"{case.name:22} {mode:9} {name:11}", "  ".join(f"{k} {v:.3g}" for k, v in entry.items()), flush=True)
        record[mode] = times
    return record


def roofline_ms(case: Case, roof: dict, train: bool) -> float:
    """Return a lower bound of the time: the exponentials, or reading inputs and writing outputs once, whichever is longer.

    Training takes the exponentials twice, since states are recomputed and not stored, and reads the inputs again for gradients as
    large. All other computation is ignored, so the bound cannot be reached.
    """
    total = 0.0
    for channels, side in case.stages:
        steps = case.batch * side * side
        exps = 4 * steps * channels * (case.state + 1) * (2 if train else 1)
        floats = steps * (channels * 6 + 8 * case.state) * (3 if train else 1)
        total += max(exps / roof["exp_per_s"], floats * 4 / roof["bytes_per_s"]) * 1e3
    return total


def thread_scaling(rounds: int) -> dict:
    """Measure the wall time with one and two threads, interleaved; meaningful on an idle machine only, so report the load."""
    tensors = make(Case("threads", 2, 16, ((192, 64),)), "cpu")
    result: dict = {"load_average": os.getloadavg() if hasattr(os, "getloadavg") else None}
    for mode, train in (("forward", False), ("training", True)):
        run, times = runner("cpu", tensors, train), {1: [], 2: []}
        for _ in range(rounds):
            for threads in times:
                torch.set_num_threads(threads)
                times[threads].append(clock(run, "cpu", wall=True))
        torch.set_num_threads(1)
        one, two = summary(times[1]), summary(times[2])
        result[mode] = {"one": one, "two": two, "speedup": one["min_ms"] / two["min_ms"]}
        print(f"threads {mode}: two are {result[mode]['speedup']:.2f} times one (wall time, minimum)", flush=True)
    return result


def peak_memory(name: str) -> dict:
    """Run one training step in a fresh process and return its peak extra memory (Linux)."""
    run = subprocess.run([sys.executable, __file__, "--memory", name], capture_output=True, text=True, check=True)
    entry = json.loads(run.stdout.splitlines()[-1])
    print(f"memory {name}: extra {entry['extra_mb']:.0f} MB, {entry['ratio']:.2f} of inputs and outputs", flush=True)
    return entry


def memory_child(name: str) -> None:
    """Entry point of the process that `peak_memory` starts; gradients and saved states count as extra memory."""

    def field(key: str) -> float:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
        return int(line.split()[1]) / 1024

    warm = make(Case("warm", 1, 16, ((32, 8),)), "cpu")
    problems = make(Case("memory", 8, 16, ((128, 64),)), "cpu")
    with selected(name):
        runner(name, warm, True)()
        before = field("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        runner(name, problems, True)()
    held = sum(t.numel() for t in problems[0]) + problems[0][0].numel()
    extra, own = field("VmHWM") - before, held * 4 / 2**20
    print(json.dumps({"inputs_and_outputs_mb": own, "extra_mb": extra, "ratio": extra / own, "case": "B8 D128 64x64 N16"}))


def main() -> None:
    """Parse the command line, measure, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="run one tiny case to check the script")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.memory:
        return memory_child(args.memory)
    roof = roofline(args.device)
    print(f"roofline: {roof['exp_per_s']:.3g} exp/s, {roof['bytes_per_s']:.3g} bytes/s", flush=True)
    report = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "cores": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if args.device == "cuda" else None,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "backends": [asdict(b) for b in scan_backends()],
        "clock": "wall, synchronized" if args.device == "cuda" else "process CPU time, one thread",
        "roofline": roof,
        "cases": [measure_case(c, args.device, 2 if args.quick else args.rounds, roof) for c in cases(args.quick)],
    }
    if args.device == "cpu" and not args.quick:
        if scan_cpu.built():
            report["threads"] = thread_scaling(25)
        if Path("/proc/self/clear_refs").exists():
            report["memory"] = {n: peak_memory(n) for n in ["cpu", "reference"] if n == "reference" or scan_cpu.built()}
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
