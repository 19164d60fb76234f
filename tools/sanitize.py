"""Build the native scan with AddressSanitizer and UndefinedBehaviorSanitizer and run it: `python tools/sanitize.py --runs 450`.

Each run scans a random map, forward and backward, with every instruction set that this CPU supports; some have NaN or infinite
values. Then every argument of the operators is made too small in turn, which must be refused. A fault ends the script with the
report of the sanitizer and a nonzero exit code. Requires GCC or Clang with their sanitizer libraries; Linux only.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from cdzoo.cli.main import exit_code
from cdzoo.errors import InputError
from cdzoo.ops import build, library, list_scan_orders, scan_cpu, set_scan_backend
from cdzoo.ops.args import ScanArgs
from cdzoo.ops.orders import num_directions

FLAGS = "-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
FOLDER = "CDZOO_SANITIZED"  # environment variable of the process that runs the sanitized libraries


def main() -> int:
    """Build, and run the checks in a process that loads the sanitizer first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=450, help="number of random maps")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if FOLDER in os.environ:
        check(Path(os.environ[FOLDER]), options.runs, options.seed)
        return 0
    compiler = build.find_compiler()
    if compiler is None or not sys.platform.startswith("linux"):
        raise InputError("the sanitizers require Linux and a C++ compiler (Debian: apt install g++)")
    with tempfile.TemporaryDirectory() as folder:
        for isa in scan_cpu.supported():
            target = build.library_path(isa, Path(folder))
            command = [*compiler, *build.flags(isa), *FLAGS.split(), str(build.SOURCES / "scan.cpp"), "-o", str(target)]
            subprocess.run(command, check=True)
        # libstdc++ too: the sanitizer looks for its functions before Python has loaded it.
        libraries = [
            subprocess.run([*compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
            for name in ("libasan.so", "libstdc++.so")
        ]
        # Python itself leaks at exit; the kernel releases its memory before it returns.
        preload = {"LD_PRELOAD": " ".join(libraries), "ASAN_OPTIONS": "detect_leaks=0", FOLDER: folder}
        return subprocess.run([sys.executable, *sys.argv], env={**os.environ, **preload}).returncode


def check(folder: Path, runs: int, seed: int) -> None:
    """Run the libraries of a folder."""
    scan_cpu.library_path = lambda isa: build.library_path(isa, folder)  # type: ignore[attr-defined]
    set_scan_backend("cpu")
    random.seed(seed)
    torch.manual_seed(seed)
    for _ in range(runs):
        os.environ["CDZOO_SCAN_ISA"] = random.choice(scan_cpu.supported())
        torch.set_num_threads(random.choice((1, 1, 2, 5)))
        order = random.choice(list_scan_orders())
        tensors = problem(order, random.choice((1, 1, 2, 3)), random.randint(1, 17), random.randint(1, 17))
        scan(tensors, order, random.random() < 0.8)
    misfits, refused = 0, 0
    for isa in scan_cpu.supported():
        os.environ["CDZOO_SCAN_ISA"] = isa
        for place, name in enumerate(ScanArgs._fields):
            tensors = problem("cross", 2, 3, 5)
            for axis in range(tensors[place].dim()):
                short = tensors[place].narrow(axis, 0, tensors[place].shape[axis] - 1).contiguous()
                try:
                    scan([*tensors[:place], short, *tensors[place + 1 :]], "cross", True)
                    print(f"sanitize: {name} with a short axis {axis} was taken", file=sys.stderr)
                except (ValueError, RuntimeError):
                    refused += 1
                misfits += 1
    print(f"{runs} random runs clean ({', '.join(scan_cpu.supported())}); {refused} of {misfits} misfits refused")
    if refused < misfits:
        raise SystemExit(1)


def problem(order: str, batch: int, height: int, width: int) -> list[torch.Tensor]:
    """Return random arguments of an operator, a tenth of them with a value that is not finite."""
    directions, state, channels = num_directions(order), random.choice((1, 2, 3, 4, 5, 16, 19)), random.randint(2, 70)
    projections = (batch, height, width, directions, state)
    shapes = [(batch, height, width, channels), (directions, batch, height, width, channels), (directions, channels, state)]
    tensors = [torch.randn(shape) for shape in (*shapes, projections, projections, *[(directions, channels)] * 2)]
    tensors[2] = -tensors[2].abs() * random.choice((0.1, 1.0, 100.0))
    if random.random() < 0.1:
        values = random.choice(tensors).view(-1)
        values[random.randrange(len(values))] = random.choice((float("nan"), float("inf"), -float("inf"), 1e38))
    return tensors


def scan(tensors: list[torch.Tensor], order: str, softplus: bool) -> None:
    """Call the operator and its backward pass, with states that were saved and with states that were not."""
    y, states = library.ss2d_scan_op(*tensors, softplus, order, True)
    for saved in (states, states[:0]):
        library.ss2d_scan_backward_op(torch.randn_like(y), *tensors, softplus, order, saved)


if __name__ == "__main__":
    sys.exit(exit_code("sanitize", main))
