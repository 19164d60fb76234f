"""Tile sizes of the Triton kernels: defaults, candidates, and choices measured on a GPU.

The defaults need at most 128 registers and no spills on any target of ``benchmarks/scan_static.py``, and were among the fastest
on an H200. :mod:`cdzoo.ops.tune` measures the candidates on a GPU and stores its choice in a file, which is read here.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

LANES = 32
trial: dict[str, int] = {}  # candidates under measurement, by key; they override the file


@dataclass(frozen=True)
class Tile:
    """States and channels that a program of one warp holds in registers; see :mod:`cdzoo.ops.triton_kernels` for the axes.

    Attributes:
        rq: Number of groups of `rn` states per lane.
        rn: Number of states per lane that are adjacent in memory, at most 4.
        rd: Number of channels per lane.
        ln: Number of lanes that share channels; `LANES / ln` lanes hold different channels.
        steps: Number of steps of an unrolled block.
        registers: Maximum number of registers per thread for fp32 maps; 0 for no limit.
        half_registers: The same for half-precision maps; None for the limit of fp32.
    """

    rq: int
    rn: int
    rd: int
    ln: int
    steps: int
    registers: int = 0
    half_registers: int | None = None

    @property
    def channels(self) -> int:
        """Number of channels of a program."""
        return self.rd * LANES // self.ln

    @property
    def states(self) -> int:
        """Number of states of a program, padded."""
        return self.rq * self.rn * self.ln

    def limit(self, dtype: torch.dtype) -> int:
        """Return the maximum number of registers per thread for a storage type."""
        return self.registers if self.half_registers is None or dtype == torch.float32 else self.half_registers

    def constants(self) -> dict[str, int]:
        """Return the compile-time arguments of a kernel."""
        sizes = {"RQ": self.rq, "RN": self.rn, "RD": self.rd, "LN": self.ln, "LD": LANES // self.ln}
        return sizes | {"T": self.steps}


def power_of_two(number: int) -> int:
    """Return the smallest power of two that is at least `number`, which is positive."""
    return 1 << (number - 1).bit_length()


# RQ (at most), RD, steps and register limits of the candidates for up to 2 states, for 4, and for more.
_FORWARD: tuple[list[tuple[int, ...]], ...] = (
    [(1, 4, 2), (1, 4, 4), (1, 2, 2), (1, 2, 4), (1, 1, 8)],
    [(1, 2, 2), (1, 2, 4), (1, 1, 2), (1, 1, 4)],
    [(4, 1, 1), (4, 1, 2), (4, 1, 4), (2, 1, 2), (2, 1, 4), (1, 1, 4), (1, 2, 2)],
)
_BACKWARD: tuple[list[tuple[int, ...]], ...] = (
    [(1, 4, 2, 128), (1, 4, 4, 128), (1, 2, 4, 128), (1, 2, 2, 128), (1, 1, 4, 128)],
    [(1, 2, 2, 128), (1, 1, 4, 128), (1, 1, 2, 128)],
    [(1, 2, 2, 128), (1, 1, 4, 128), (1, 1, 2, 128), (1, 2, 4, 168, 192), (2, 1, 2, 128), (2, 1, 2, 168), (2, 1, 4, 168)],
)


def candidates(kernel: str, state: int, channels: int) -> list[Tile]:
    """Return the tiles that a kernel may run with, the default first.

    Args:
        kernel: ``"segment_ends"``, ``"outputs"`` or ``"gradients"``.
        state: Number of states N, at least 1.
        channels: Number of channels of the map, at least 1. Tiles of many channels come first, because they need fewer
            instructions per channel, unless most channels of the last program would be padding.
    """
    padded = power_of_two(state)
    rn = min(4, padded)
    tiles = []
    for most, rd, steps, *limits in (_BACKWARD if kernel == "gradients" else _FORWARD)[min(2, padded // 4)]:
        rq = min(most, padded // rn)
        lanes = min(LANES, padded // (rq * rn))  # states that do not fit on the lanes go to registers
        tiles.append(Tile(padded // (lanes * rn), rn, rd, lanes, steps, *limits))
    return sorted(tiles, key=lambda tile: -(-channels // tile.channels) * tile.channels > 1.2 * max(channels, LANES))


def cache_file(device: torch.device) -> Path:
    """Return the file of the tiles measured on a GPU; it may not exist."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cdzoo"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return folder / f"scan-{''.join(c if c.isalnum() else '-' for c in name)}.json"


@lru_cache(maxsize=8)
def _measured(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def choose(kernel: str, state: int, channels: int, dtype: torch.dtype, device: torch.device) -> Tile:
    """Return the fastest tile measured on a GPU, or the default if none was measured."""
    name = key(kernel, state, channels, dtype)
    index = trial.get(name, _measured(cache_file(device)).get(name, 0))
    known = candidates(kernel, state, channels)
    return known[index] if isinstance(index, int) and 0 <= index < len(known) else known[0]


def key(kernel: str, state: int, channels: int, dtype: torch.dtype) -> str:
    """Return the key of an entry of the cache file."""
    return f"{kernel} N={state} D={channels} {str(dtype).removeprefix('torch.')}"


def forget() -> None:
    """Clear the cached content of the files."""
    _measured.cache_clear()
