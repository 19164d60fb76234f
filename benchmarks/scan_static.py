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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from scan_sass import Loop, compile_kernel, executed, machine_loops
from scan_table import table
from scan_targets import TARGETS, Target, bounds, occupancy, pipes

from cdzoo.ops import scan_triton, triton_tiles
from cdzoo.ops import triton_kernels as kernels
from cdzoo.ops.scan_triton import CHUNK

BATCH, DIRECTIONS, LENGTH, CHANNELS = 2, 4, 4096, 384
STATES = (1, 4, 16)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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
        tile: Sizes of a program; None for the chain of segments.
        scratch: Bytes of scratch memory per program.
        scratch_traffic: Bytes per element that are written to scratch memory and read back.
    """

    name: str
    constants: dict[str, Any]
    warps: int
    programs: int
    loops: tuple[Loop, ...]
    bytes: float
    tile: triton_tiles.Tile | None = None
    scratch: int = 0
    scratch_traffic: float = 0.0


def passes(state: int, dtype: str, target: Target) -> dict[str, list[Kernel]]:
    """Return the kernels of a forward pass with saved states and of a backward pass, in order, as a GPU would launch them."""
    return {
        "forward": _forward(state, DTYPES[dtype].itemsize, target),
        "backward": _backward(state, DTYPES[dtype].itemsize, target),
    }


def _plan(kernel: str, tile: triton_tiles.Tile, target: Target) -> scan_triton.Plan:
    programs = target.multiprocessors * scan_triton.WARPS_PER_MULTIPROCESSOR[kernel]
    return scan_triton.plan(BATCH, DIRECTIONS, LENGTH, CHANNELS, tile, programs)


def _constants(tile: triton_tiles.Tile, state: int) -> dict[str, Any]:
    return {"N": state, **tile.constants(), "HAS_BIAS": True, "SOFTPLUS": True, "FAST": True}


def _programs(tile: triton_tiles.Tile, segments: int) -> int:
    return segments * BATCH * DIRECTIONS * math.ceil(CHANNELS / tile.channels)


def _summaries(state: int, size: int, plan: scan_triton.Plan, adjoint: bool) -> list[Kernel]:
    """Return the kernels that compute the initial state of each segment."""
    if plan.segments == 1:
        return []
    tile = triton_tiles.candidates("segment_ends", state, CHANNELS)[0]
    own = tile.rd * (1 + tile.rq * tile.rn)
    borders = 4 * (state + 1) * plan.segments / LENGTH
    loops = (Loop(plan.span // tile.steps, tile.steps * own),)
    block = min(32, triton_tiles.power_of_two(CHANNELS))
    padded = triton_tiles.power_of_two(state)
    chain = {"BLOCK_D": block, "BLOCK_N": padded, "REVERSE": adjoint} | ({"N": 1} if state == 1 else {})
    rows = BATCH * DIRECTIONS * CHANNELS // block
    return [
        Kernel(
            "segment_ends",
            _constants(tile, state) | {"ADJOINT": adjoint},
            1,
            _programs(tile, plan.segments - 1),
            loops,
            2 * size + size * state / CHANNELS + borders,
            tile,
        ),
        Kernel("carry", chain, 4, rows, (Loop(plan.segments, max(1, block * padded // 128)),), 3 * borders),
    ]


def _map_bytes(plan: scan_triton.Plan) -> float:
    """Return the bytes per element to sum a map over directions, into one map or through a map per direction."""
    return 8 - 4 / DIRECTIONS if plan.one_by_one else 8 + 4 / DIRECTIONS


def _map_flags(plan: scan_triton.Plan) -> dict[str, bool]:
    return {"MAPS": not plan.one_by_one, "ADD": plan.one_by_one}


def _forward(state: int, size: int, target: Target) -> list[Kernel]:
    tile = triton_tiles.candidates("outputs", state, CHANNELS)[0]
    plan = _plan("outputs", tile, target)
    steps = Loop(CHUNK // tile.steps, tile.steps * tile.rd * (1 + tile.rq * tile.rn))
    moved = 2 * size + _map_bytes(plan) + 2 * size * state / CHANNELS + 4 * state / CHUNK
    flags = {"STARTS": plan.segments > 1, "SAVE": True, "HAS_D": True} | _map_flags(plan)
    loops = (Loop(plan.span // CHUNK, 0, (steps,)),)
    main = Kernel("outputs", _constants(tile, state) | flags, 1, _programs(tile, plan.segments), loops, moved, tile)
    return [*_summaries(state, size, plan, False), main]


def _backward(state: int, size: int, target: Target) -> list[Kernel]:
    tile = triton_tiles.candidates("gradients", state, CHANNELS)[0]
    plan, stage = _plan("gradients", tile, target), tile.ln > 1
    own, skips = tile.rd * tile.rq * tile.rn, 0 if stage else tile.rd
    steps, blocks = tile.steps, CHUNK // tile.steps
    walk = Loop(blocks - 1, steps * (own + skips), (), 1)
    # Decays are computed again in the second half of a block with few lanes per channel; the compiler may reuse some, or none.
    fewest = (2 * steps - 1) * own - own // 2 if stage else steps * (own + skips)
    back = Loop(blocks, steps * (2 * own + skips), (), fewest)
    inner = (Loop(CHUNK // tile.ln, tile.rd), walk, back) if stage else (walk, back)
    partial = 2 * 8 * state / tile.channels
    moved = 4 * size + _map_bytes(plan) + 2 * size * state / CHANNELS + 4 * state / CHUNK + partial
    moved += 4 * (state + 2) * plan.segments / LENGTH
    flags = {"KEEP": not stage, "STAGE": stage, "BACK": plan.segments > 1, "HAS_D": True} | _map_flags(plan)
    scratch = 4 * scan_triton.scratch_floats(tile, stage)
    reused = 8 * state / steps + (20 if stage else 0)
    main = Kernel(
        "gradients",
        _constants(tile, state) | flags,
        1,
        _programs(tile, plan.segments),
        (Loop(plan.span // CHUNK, 0, inner),),
        moved,
        tile,
        scratch,
        reused,
    )
    return [*_summaries(state, size, plan, True), main]


def types_of(function: Any, dtype: str) -> dict[str, str]:
    """Return the type of each argument: integers, the index table, maps of a storage type, and fp32 elsewhere."""
    integers = {"L", "D", "N", "B", "K", "k0", "span", "segments", "chunks"}
    maps = {"x", "delta", "Bm", "Cm", "grad", "ddelta"}
    return {
        name: "i32" if name in integers else "*i32" if name == "index" else f"*{dtype}" if name in maps else "*fp32"
        for name in function.arg_names
    }


def measure(kernel: Kernel, capability: int, state: int, dtype: str) -> dict[str, Any]:
    """Compile one kernel for one target and return its row of the report."""
    limit = (kernel.tile.limit(DTYPES[dtype]) or None) if kernel.tile else None
    row = _row(kernel, capability, state, dtype, limit)
    if row["registers"] > 128:
        row["at_128_registers"] = _row(kernel, capability, state, dtype, 128)
    return row


def _row(kernel: Kernel, capability: int, state: int, dtype: str, limit: int | None) -> dict[str, Any]:
    target, function = TARGETS[capability], getattr(kernels, kernel.name)
    made = compile_kernel(function, types_of(function, dtype), kernel.constants, capability, kernel.warps, (), limit)
    counts = executed(machine_loops(made.instructions), kernel.loops)
    threads = kernel.programs * kernel.warps * 32
    share = threads / (BATCH * DIRECTIONS * LENGTH * CHANNELS * state)  # threads per element and state
    groups = {name: number * share for name, number in pipes(counts).items()}
    total = sum(counts.values()) * share
    blocks = occupancy(target, made.registers, made.shared, kernel.warps)
    resident = min(kernel.programs, blocks * target.multiprocessors) * kernel.scratch
    cached = resident <= target.cache
    moved = kernel.bytes + (0 if cached else kernel.scratch_traffic)
    return {
        "kernel": kernel.name,
        "target": f"sm_{capability}",
        "states": state,
        "dtype": dtype,
        "constants": kernel.constants,
        "warps": kernel.warps,
        "programs": kernel.programs,
        "register_limit": limit,
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
        "bytes_per_element": moved,
        "scratch_bytes_per_element": kernel.scratch_traffic,
        "scratch_fits_cache": cached,
        "bound_ps_per_element_and_state": bounds(target, total, groups, moved / state),
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
                for name, members in passes(state, dtype, TARGETS[capability]).items():
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
    parser.add_argument("--table", type=Path, nargs=2, metavar=("REPORT", "BASELINE"), help="print a table of two reports")
    chosen = parser.parse_args()
    if chosen.table:
        print(table(*(json.loads(file.read_text()) for file in chosen.table)))
        return
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
