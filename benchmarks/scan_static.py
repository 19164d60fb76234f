"""Cost of the Triton scan without a GPU: ``python benchmarks/scan_static.py --out benchmarks/results/scan_static.json``.

Every kernel is compiled for five GPU architectures and for 1, 4 and 16 states. The report has registers, spills, shared memory,
resident programs per multiprocessor, executed instructions per element and state, the bytes that each kernel moves, and two lower
bounds of the time: of the instruction pipelines and of the memory. An element is one channel of one position in one direction.
The bounds assume perfect overlap; they rank kernels and say what limits them, they do not predict a time.

``--table`` prints the table of docs/scan.md from a report.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from scan_sass import Loop, compile_kernel, executed, machine_loops

from cdzoo.ops import triton_kernels as kernels

BATCH, DIRECTIONS, LENGTH, CHANNELS = 2, 4, 4096, 192
STATES = (1, 4, 16)


@dataclass(frozen=True)
class Target:
    """A GPU architecture, with the figures of NVIDIA's data sheets and the throughput table of the CUDA programming guide.

    Attributes:
        name: Product that the clock, the number of multiprocessors and the bandwidth belong to.
        multiprocessors: Number of multiprocessors.
        gigahertz: Boost clock.
        bandwidth: Memory bandwidth in bytes per second.
        float_lanes: Single-precision operations per clock and multiprocessor.
        integer_lanes: 32-bit integer operations per clock and multiprocessor.
        max_warps: Resident warps per multiprocessor.
        max_blocks: Resident programs per multiprocessor.
        shared: Shared memory per multiprocessor in bytes.
    """

    name: str
    multiprocessors: int
    gigahertz: float
    bandwidth: float
    float_lanes: int
    integer_lanes: int
    max_warps: int
    max_blocks: int
    shared: int


TARGETS = {
    80: Target("A100 80GB", 108, 1.41, 2.04e12, 64, 64, 64, 32, 164 << 10),
    86: Target("RTX 3090", 82, 1.70, 0.936e12, 128, 64, 48, 16, 100 << 10),
    89: Target("RTX 4090", 128, 2.52, 1.008e12, 128, 64, 48, 24, 100 << 10),
    90: Target("H100 SXM", 132, 1.83, 3.35e12, 128, 64, 64, 32, 228 << 10),
    100: Target("B200", 148, 1.85, 8.0e12, 128, 64, 64, 32, 228 << 10),
}
SPECIAL_LANES, MEMORY_LANES, ISSUE_LANES = 16, 32, 128


@dataclass(frozen=True)
class Kernel:
    """One launch of a pass over the maps.

    Attributes:
        name: Name in :mod:`cdzoo.ops.triton_kernels`.
        constants: Compile-time arguments.
        warps: Warps per program.
        programs: Number of programs.
        loops: Loops of the source.
        bytes: Bytes per element that are read or written, each array once per kernel.
        aligned: Integer arguments divisible by 16.
    """

    name: str
    constants: dict[str, Any]
    warps: int
    programs: int
    loops: tuple[Loop, ...]
    bytes: float
    aligned: tuple[str, ...] = ()


def passes(state: int) -> dict[str, list[Kernel]]:
    """Return the kernels of a forward pass with saved states and of a backward pass, in order."""
    chunk, block, threads = 64, 32, 128
    chunks, rows, blocks = LENGTH // chunk, BATCH * DIRECTIONS, CHANNELS // block
    constants = {"T": chunk, "BLOCK_D": block, "HAS_BIAS": True, "SOFTPLUS": True} | ({"N": 1} if state == 1 else {})
    aligned = ("L", "D", *(("N",) if state % 16 == 0 else ()))
    own = chunk * block // threads
    borders, sums, projection = 4 * state / chunk, 4 / chunk, 4 * state / CHANNELS

    def tiled(name: str, exponentials: int, moved: float, skip: bool) -> Kernel:
        fixed = constants | ({"HAS_D": True} if skip else {})
        return Kernel(name, fixed, 4, chunks * rows * blocks, (Loop(state, exponentials),), moved, aligned)

    def chain(reverse: bool) -> Kernel:
        fixed = {"BLOCK_D": block, "BLOCK_N": state, "REVERSE": reverse} | ({"N": 1} if state == 1 else {})
        return Kernel(
            "carry", fixed, 4, rows * blocks, (Loop(chunks, max(1, block * state // threads)),), 2 * borders + sums, aligned
        )

    summary = 8 + projection + borders + sums
    partial = 8 * state / block
    return {
        "forward": [
            tiled("summarize", own, summary, False),
            chain(False),
            tiled("outputs", own, 12 + 2 * projection + borders, True),
        ],
        "backward": [
            tiled("summarize_adjoint", own, summary, False),
            chain(True),
            tiled("gradients", 2 * own, 20 + 2 * projection + 3 * borders + partial, True),
        ],
    }


def types_of(function: Any, dtype: str) -> dict[str, str]:
    """Return the type of each argument: integers, the index table, maps of a storage type, and fp32 elsewhere."""
    integers = {"L", "D", "N", "B", "K", "chunks"}
    maps = {"x", "delta", "Bm", "Cm", "grad", "ddelta"}
    return {
        name: "i32" if name in integers else "*i32" if name == "index" else f"*{dtype}" if name in maps else "*fp32"
        for name in function.arg_names
    }


def pipes(counts: Counter[str]) -> dict[str, int]:
    """Sort instructions into the pipelines that execute them."""
    groups: dict[str, int] = dict.fromkeys(("special", "memory", "float", "integer", "barriers"), 0)
    for op, number in counts.items():
        name = op.split(".")[0]
        if name in ("MUFU", "I2F", "F2I", "I2FP", "F2FP") and not op.startswith(("I2FP", "F2FP")):
            groups["special"] += number
        elif name in ("LDG", "STG", "LDS", "STS", "LDL", "STL", "SHFL", "ATOMG", "RED", "LDC", "LDSM"):
            groups["memory"] += number
        elif name in ("FFMA", "FMUL", "FADD", "FMNMX", "FSEL", "FSETP", "FFMA2", "FMUL2", "FADD2", "HFMA2", "IMAD"):
            groups["float"] += number  # IMAD runs on the multiply-add pipeline
        elif name in ("BAR", "WARPSYNC"):
            groups["barriers"] += number
        elif not name.startswith("U") and name not in ("BRA", "EXIT", "NOP"):
            groups["integer"] += number
    return groups


def occupancy(target: Target, registers: int, shared: int, warps: int) -> int:
    """Return the programs that fit one multiprocessor at once."""
    per_warp = math.ceil(registers * 32 / 256) * 256
    limits = [target.max_blocks, target.max_warps // warps, 65536 // per_warp // warps]
    # A program without shared memory of its own still reserves one kilobyte.
    return min(*limits, target.shared // max(1024, shared))


def measure(kernel: Kernel, capability: int, state: int, dtype: str, limit: int | None = None) -> dict[str, Any]:
    """Compile one kernel for one target and return its row of the report."""
    target, function = TARGETS[capability], getattr(kernels, kernel.name)
    types = types_of(function, dtype)
    made = compile_kernel(function, types, kernel.constants, capability, kernel.warps, kernel.aligned, limit)
    counts = executed(machine_loops(made.instructions), kernel.loops)
    elements = BATCH * DIRECTIONS * LENGTH * CHANNELS
    share = kernel.programs * kernel.warps * 32 / (elements * state)  # threads per element and state
    groups = {name: number * share for name, number in pipes(counts).items()}
    total = sum(counts.values()) * share
    clocks = {
        "issue": total / ISSUE_LANES,
        "special": groups["special"] / SPECIAL_LANES,
        "memory": groups["memory"] / MEMORY_LANES,
        "float": groups["float"] / target.float_lanes,
        "integer": groups["integer"] / target.integer_lanes,
    }
    limited_by = max(clocks, key=lambda name: clocks[name])
    blocks = occupancy(target, made.registers, made.shared, kernel.warps)
    return {
        "kernel": kernel.name,
        "target": f"sm_{capability}",
        "states": state,
        "dtype": dtype,
        "constants": kernel.constants,
        "warps": kernel.warps,
        "registers": made.registers,
        "spill_instructions": made.spills,
        "stack_bytes": made.stack,
        "shared_bytes": made.shared,
        "programs_per_multiprocessor": blocks,
        "occupancy": blocks * kernel.warps / target.max_warps,
        "per_element_and_state": {
            "instructions": total,
            "special_functions": groups["special"],
            "memory_instructions": groups["memory"],
            "barriers": groups["barriers"],
        },
        "bytes_per_element": kernel.bytes,
        "bound_ps_per_element_and_state": {
            "instructions": clocks[limited_by] / target.multiprocessors / target.gigahertz * 1e3,
            "pipeline": limited_by,
            "memory": kernel.bytes / state / target.bandwidth * 1e12,
        },
    }


def totals(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Add up the kernels of a pass."""
    bounds = [row["bound_ps_per_element_and_state"] for row in rows]
    return {
        "instructions_per_element_and_state": sum(row["per_element_and_state"]["instructions"] for row in rows),
        "special_functions_per_element_and_state": sum(row["per_element_and_state"]["special_functions"] for row in rows),
        "bytes_per_element": sum(row["bytes_per_element"] for row in rows),
        "bound_ps_per_element_and_state": sum(max(bound["instructions"], bound["memory"]) for bound in bounds),
    }


def report(capabilities: list[int], states: tuple[int, ...], dtypes: list[str]) -> Iterator[dict[str, Any]]:
    """Yield one entry per target, number of states, storage type and pass."""
    for capability in capabilities:
        for state in states:
            for dtype in dtypes:
                for name, members in passes(state).items():
                    rows = [measure(kernel, capability, state, dtype) for kernel in members]
                    yield {
                        "pass": name,
                        "target": f"sm_{capability}",
                        "states": state,
                        "dtype": dtype,
                        **totals(rows),
                        "kernels": rows,
                    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--targets", type=int, nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--dtypes", nargs="+", default=["fp32"], choices=["fp32", "bf16", "fp16"])
    chosen = parser.parse_args()
    entries = []
    for entry in report(chosen.targets, STATES, chosen.dtypes):
        entries.append(entry)
        print(
            f"{entry['pass']:9} {entry['target']:7} N {entry['states']:<3} {entry['dtype']}  "
            f"{entry['instructions_per_element_and_state']:6.1f} instructions  "
            f"{entry['bound_ps_per_element_and_state']:6.2f} ps  registers "
            + " ".join(f"{row['kernel']} {row['registers']} (spills {row['spill_instructions']})" for row in entry["kernels"]),
            flush=True,
        )
    if chosen.out:
        problem = {"batch": BATCH, "directions": DIRECTIONS, "length": LENGTH, "channels": CHANNELS}
        versions = {"torch": torch.__version__, "triton": triton.__version__}
        chosen.out.write_text(json.dumps({"problem": problem, "versions": versions, "passes": entries}, indent=1) + "\n")


if __name__ == "__main__":
    main()
