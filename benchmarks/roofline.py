"""Peak rates of a machine: exponentials and memory, measured with the clock of the calling benchmark."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from cdzoo.ops import build, scan_cpu


def clock(run: Callable[[], None], device: str, wall: bool = False) -> float:
    """Milliseconds of one run: CPU time of the process, or wall time."""
    tick = time.perf_counter if wall or device == "cuda" else time.process_time
    if device == "cuda":
        torch.cuda.synchronize()
    start = tick()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return (tick() - start) * 1e3


def roofline(device: str) -> dict:
    """Rates of exponentials within the cache and of a copy beyond it, the best of several runs."""
    # A GPU needs many more values than a CPU core to be fully used; they still fit its cache.
    small, big = torch.rand(1 << (12 if device == "cpu" else 20), device=device), torch.rand(1 << 26, device=device)
    out, copy = torch.empty_like(small), torch.empty_like(big)
    repeats = 500

    def repeated(function: Callable[..., object]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(repeats):
                function(small, out=out)

        return run

    candidates = {"torch exp": repeated(torch.exp), "torch exp2": repeated(torch.exp2)}
    if device == "cpu" and (own := own_exponential()) is not None:
        candidates["own"] = lambda: own(small.data_ptr(), out.data_ptr(), small.numel(), repeats)
    rates = {name: small.numel() * repeats / min(clock(run, device) for _ in range(20)) * 1e3 for name, run in candidates.items()}
    copy_ms = min(clock(lambda: copy.copy_(big), device) for _ in range(5))
    return {"exp_per_s": max(rates.values()), "exp_rates": rates, "bytes_per_s": 2 * big.numel() * 4 / copy_ms * 1e3}


def own_exponential() -> Callable[[int, int, int, int], None] | None:
    """Compile only the exponential of the scan, for the best instruction set; None without a compiler."""
    compiler, sets = build.find_compiler(), scan_cpu.built()
    if compiler is None or not sets:
        return None
    flags = [*build.flags(sets[0]), f"-I{build.SOURCES}"]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "exp_rate.so"
        subprocess.run([*compiler, *flags, str(Path(__file__).with_name("exp_rate.cpp")), "-o", str(made)], check=True)
        function = ctypes.CDLL(str(made)).exp_rate
    function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long, ctypes.c_long], None
    return function
