"""Backend ``triton``: the scan on CUDA devices, compiled at first use by the Triton that comes with PyTorch, without nvcc.

A program walks over the steps one by one with the states in registers. A step costs one exponential and four multiply-adds per
state; threads exchange only sums over states or channels. One direction of one image has too few channels to fill a GPU, so its
path is cut into as many segments as fill it:

1. each segment but the last is scanned from a zero state, which gives its end state and its sum of dt;
2. the segments are chained, h_next = exp(A sum dt) h + end, which gives the state before each segment;
3. each segment is scanned from its true state, which gives the outputs and, in training, the state before every 64 steps.

If the images fill the GPU, there is one segment and only step 3 runs. The backward pass does the same with the gradients of the
states, from the last segment to the first, and recomputes the states of 64 steps at a time from the saved ones. x, dt, B and C
are read from the map in their storage type, at the positions in the index table; arithmetic is fp32.

There are no atomic operations, so results are bitwise reproducible on the same GPU model. y and dx are summed over directions
either by one launch per direction, in order, or through a map per direction if a single direction does not fill the GPU and the
map is small. dB and dC have one map per block of channels; dA, dD and ddelta_bias have one row per segment.

Sources: Mamba (Gu and Dao 2023, arXiv 2312.00752); VMamba (Liu et al. 2024, arXiv 2401.10166).
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from cdzoo.ops.args import CHUNK, Gradients, ScanArgs
from cdzoo.ops.triton_tiles import Tile, choose, power_of_two

READS_HALF = True
# Programs per multiprocessor. On an H200, 8 took 1.2 to 1.4 times as long as 16, and 32 about as long.
WARPS_PER_MULTIPROCESSOR = {"outputs": 16, "gradients": 24}
MAPS_LIMIT = 256 << 20  # bytes of the maps of all directions above which directions are launched one after the other


def unavailable() -> str | None:
    """Return None if the kernels can run, else the reason and a remedy."""
    try:
        import triton  # takes a second, and machines without a GPU do not need it
    except ImportError as error:
        return f"Triton cannot be imported ({error}); install it with `pip install triton` (Linux)"
    if tuple(int(part) for part in triton.__version__.split(".")[:2]) < (3, 3):
        return f"Triton {triton.__version__} is too old, the kernels require 3.3; upgrade with `pip install -U torch`"
    if torch.cuda.is_available() or interpreted():
        return None
    return "it needs a CUDA device; none is visible to torch (check `nvidia-smi`)"


def interpreted() -> bool:
    """Return whether Triton runs kernels as Python on CPU tensors."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def _kernels() -> Any:
    from cdzoo.ops import triton_kernels  # imports Triton

    return triton_kernels


@lru_cache(maxsize=8)
def _wanted_programs(kernel: str, device: torch.device) -> int:
    """Return the number of one-warp programs that fill the GPU; 1 in the interpreter, where each takes milliseconds."""
    if device.type != "cuda":
        return 1
    return int(torch.cuda.get_device_properties(device).multi_processor_count) * WARPS_PER_MULTIPROCESSOR[kernel]


@dataclass(frozen=True)
class Plan:
    """Division of a pass into programs.

    Attributes:
        segments: Number of segments per direction and image.
        span: Number of steps of a segment, a multiple of `CHUNK`.
        one_by_one: Whether directions are launched one after the other and add to the same map.
    """

    segments: int
    span: int
    one_by_one: bool


def plan(batch: int, directions: int, length: int, channels: int, tile: Tile, programs: int) -> Plan:
    """Choose the segments, and whether directions are launched one by one.

    Args:
        batch: Number of images.
        directions: Number of directions.
        length: Number of positions of the map.
        channels: Number of channels of the map.
        tile: Tile of the kernel that does most of the work.
        programs: Number of programs that fill the GPU.
    """
    per_direction = batch * -(-channels // tile.channels)
    map_bytes = 4 * directions * batch * length * channels
    one_by_one = per_direction >= 0.6 * programs or map_bytes > MAPS_LIMIT
    available = per_direction * (1 if one_by_one else directions)
    chunks = -(-length // CHUNK)
    # More than one segment requires an additional scan, which pays off only if much of the GPU would be idle.
    wanted = 1 if available >= 0.6 * programs else math.ceil(programs / available)
    span = -(-chunks // min(chunks, wanted))
    return Plan(-(-chunks // span), span * CHUNK, one_by_one)


class _Launch:
    """Sizes and arguments shared by the kernels of one pass."""

    def __init__(self, kernel: str, args: ScanArgs, index: Tensor, softplus: bool) -> None:
        x, delta, A, _, _, D, bias = args
        self.batch, self.length, self.channels = x.shape
        self.directions, _, self.state = A.shape
        self.chunks = -(-self.length // CHUNK)
        self.tile = choose(kernel, self.state, self.channels, x.dtype, x.device)
        self.ends_tile = choose("segment_ends", self.state, self.channels, x.dtype, x.device)
        sizes = (self.batch, self.directions, self.length, self.channels)
        self.plan = plan(*sizes, self.tile, _wanted_programs(kernel, x.device))
        self.rates = A * math.log2(math.e)
        self.x, self.delta, self.index = x, delta, index
        self.skip, self.bias = x if D is None else D, x if bias is None else bias  # any pointer will do: it is not read
        self.sizes = (self.length, self.channels, self.batch, self.directions)
        self.flags = {"N": self.state, "HAS_BIAS": bias is not None, "SOFTPLUS": softplus, "FAST": not interpreted()}
        self.has_skip = {"HAS_D": D is not None}

    def options(self, tile: Tile) -> dict[str, Any]:
        """Return the compile-time arguments and options of a kernel."""
        if interpreted():
            return {**self.flags, **tile.constants()}
        limit = tile.limit(self.x.dtype)
        return {**self.flags, **tile.constants(), "num_warps": 1, **({"maxnreg": limit} if limit else {})}

    def grid(self, tile: Tile, rows: int, segments: int) -> tuple[int, int, int]:
        """Return the grid of a kernel."""
        return segments, rows, -(-self.channels // tile.channels)

    def rows(self) -> tuple[int, int, int, int]:
        """Return the shape of a buffer with a row of channels per segment."""
        return self.directions, self.batch, self.plan.segments, self.channels

    def starts(self, source: Tensor, projection: Tensor, adjoint: bool) -> Tensor | None:
        """Run the first two steps; return the state before each segment (K, B, segments, D, N), None for a single segment."""
        segments = self.plan.segments
        if segments == 1:
            return None
        ends, sums = self.rates.new_empty((*self.rows(), self.state)), self.rates.new_empty(self.rows())
        rows = self.directions * self.batch
        _kernels().segment_ends[self.grid(self.ends_tile, rows, segments - 1)](
            source, self.delta, self.rates, projection, self.bias, self.index, ends, sums, *self.sizes, self.plan.span, segments,
            ADJOINT=adjoint, **self.options(self.ends_tile),
        )  # fmt: skip
        block = min(32, power_of_two(self.channels))
        _kernels().carry[(rows, -(-self.channels // block))](
            self.rates, ends, sums, segments, self.channels, self.state, self.batch,
            BLOCK_D=block, BLOCK_N=power_of_two(self.state), REVERSE=adjoint,
        )  # fmt: skip
        return ends

    def summed(self, launch: Any) -> Tensor:
        """Run a kernel for all directions and return the sum of its maps over directions, in the type of x.

        Args:
            launch: Function of the first direction, the number of directions, the map to add to, the map to write, and whether
                each direction has its own map.
        """
        shape = self.x.shape
        if not self.plan.one_by_one:
            maps = self.rates.new_empty((self.directions, *shape))
            launch(0, self.directions, maps, maps, True)
            return maps.sum(0).to(self.x.dtype)
        total = self.rates.new_empty(shape)
        result = total if self.x.dtype == total.dtype else torch.empty_like(self.x)
        for k in range(self.directions):
            launch(k, 1, total, result if k == self.directions - 1 else total, False)
        return result


def forward(args: ScanArgs, index: Tensor, delta_softplus: bool, save_states: bool) -> tuple[Tensor, Tensor]:
    """Scan K directions and sum the results at each position; shapes and types as in :mod:`cdzoo.ops.backends`."""
    x, delta, A, B, C = args[:5]
    run = _Launch("outputs", args, index, delta_softplus)
    starts = run.starts(x, B, adjoint=False)
    shape = (run.directions, run.batch, run.chunks, run.channels, run.state)
    states = A.new_empty(shape if save_states else (0,))

    def launch(first: int, count: int, so_far: Tensor, y: Tensor, maps: bool) -> None:
        _kernels().outputs[run.grid(run.tile, count * run.batch, run.plan.segments)](
            x, delta, run.rates, B, C, run.skip, run.bias, index, states if starts is None else starts, states, so_far, y,
            *run.sizes, first, run.plan.span, run.plan.segments, run.chunks, STARTS=starts is not None, SAVE=save_states,
            MAPS=maps, ADD=first > 0, **run.has_skip, **run.options(run.tile),
        )  # fmt: skip

    return run.summed(launch), states


def backward(grad_y: Tensor, args: ScanArgs, index: Tensor, delta_softplus: bool, states: Tensor) -> Gradients:
    """Return the gradients of x, delta, A, B, C, D and delta_bias, in this order."""
    x, delta, A, B, C, D, delta_bias = args
    run = _Launch("gradients", args, index, delta_softplus)
    back = run.starts(grad_y, C, adjoint=True)
    ddelta = torch.empty_like(delta)
    dA, dD, dbias = A.new_empty((*run.rows(), run.state)), A.new_empty(run.rows()), A.new_empty(run.rows())
    blocks = -(-run.channels // run.tile.channels)
    dB, dC = (A.new_empty((blocks, *B.shape)) for _ in range(2))
    stage = run.tile.ln > 1
    count = 1 if run.plan.one_by_one else run.directions
    scratch = A.new_empty(run.plan.segments * count * run.batch * blocks * scratch_floats(run.tile, stage))

    def launch(first: int, count: int, so_far: Tensor, dx: Tensor, maps: bool) -> None:
        _kernels().gradients[run.grid(run.tile, count * run.batch, run.plan.segments)](
            grad_y, x, delta, run.rates, B, C, run.skip, run.bias, index, states, states if back is None else back, scratch,
            so_far, dx, ddelta, dA, dB, dC, dD, dbias, *run.sizes, first, run.plan.span, run.plan.segments, run.chunks,
            KEEP=not stage, STAGE=stage, BACK=back is not None, MAPS=maps, ADD=first > 0,
            **run.has_skip, **run.options(run.tile),
        )  # fmt: skip

    dx = run.summed(launch)
    return (
        dx,
        ddelta,
        dA.sum((1, 2)),
        dB.sum(0).to(B.dtype),
        dC.sum(0).to(C.dtype),
        None if D is None else dD.sum((1, 2)),
        None if delta_bias is None else dbias.sum((1, 2)),
    )


def scratch_floats(tile: Tile, stage: bool) -> int:
    """Return the size of the scratch memory of one program of the backward pass, in floats."""
    states = CHUNK // tile.steps * tile.states * tile.channels
    return states + (2 * CHUNK * tile.channels if stage else 0)
