"""GPUs of the static report, and the limits of their pipelines, registers and memory."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any


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
        cache: Second-level cache in bytes.
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
    cache: int


TARGETS = {
    80: Target("A100 80GB", 108, 1.41, 2.04e12, 64, 64, 64, 32, 164 << 10, 40 << 20),
    86: Target("RTX 3090", 82, 1.70, 0.936e12, 128, 64, 48, 16, 100 << 10, 6 << 20),
    89: Target("RTX 4090", 128, 2.52, 1.008e12, 128, 64, 48, 24, 100 << 10, 72 << 20),
    90: Target("H100 SXM", 132, 1.83, 3.35e12, 128, 64, 64, 32, 228 << 10, 50 << 20),
    100: Target("B200", 148, 1.85, 8.0e12, 128, 64, 64, 32, 228 << 10, 126 << 20),
}
SPECIAL_LANES, MEMORY_LANES, ISSUE_LANES = 16, 32, 128


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
    # A program that uses no shared memory still reserves one kilobyte.
    return min(*limits, target.shared // max(1024, shared))


def bounds(target: Target, instructions: float, groups: dict[str, float], moved: float) -> dict[str, Any]:
    """Return lower bounds of the time in picoseconds: of the busiest pipeline, which is named, and of the memory."""
    clocks = {
        "issue": instructions / ISSUE_LANES,
        "special": groups["special"] / SPECIAL_LANES,
        "memory": groups["memory"] / MEMORY_LANES,
        "float": groups["float"] / target.float_lanes,
        "integer": groups["integer"] / target.integer_lanes,
    }
    pipeline = max(clocks, key=lambda name: clocks[name])
    return {
        "instructions": clocks[pipeline] / target.multiprocessors / target.gigahertz * 1e3,
        "pipeline": pipeline,
        "memory": moved / target.bandwidth * 1e12,
    }
