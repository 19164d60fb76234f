"""Backend `triton`: the scan on CUDA devices, compiled at first use by the Triton that comes with PyTorch; no nvcc.

A sequence alone has too little parallelism for a GPU (a 64 x 64 map has 4096 dependent steps), so it is cut into chunks of
64 steps and scanned in three passes:

1. every chunk by itself, from a zero state: its end state and its sum of dt (all chunks of all directions at once);
2. the chain of chunks, h_next = exp(A sum dt) h + end, which leaves the state before each chunk (L / 64 dependent steps);
3. every chunk again from its true state: the outputs, by a parallel scan inside the chunk.

The backward pass mirrors it: gradients of the states before the chunks, their chain from the last to the first, and all
gradients chunk by chunk with states recomputed inside the chunk's registers. Directions are rows of the index table: x, dt,
B and C are read straight from the map.

Memory moved, in units of one fp32 tensor (K, B, L, D): forward reads dt and x twice, writes and sums one map per direction, and
moves N / 64 units of states four times. Scratch: one such map for y (backward: for dx), states of chunk borders, and for dB
and dC one map per block of channels. Sums over directions, blocks and chunks are ordinary reductions of those buffers, not
atomics, so results are reproducible.

Sources: Mamba (Gu & Dao, 2023, arXiv 2312.00752); VMamba (Liu et al., 2024, arXiv 2401.10166).
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

CHUNK = 64


def unavailable() -> str | None:
    """Return None when the kernels can run, else the reason and the command that would help."""
    try:
        import triton  # noqa: F401  # takes a second, and machines without a GPU have no use for it
    except ImportError as error:
        return f"Triton is not importable ({error}); install it with `pip install triton` (Linux)"
    if torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1":
        return None
    return "it needs a CUDA device; none is visible to torch (check `nvidia-smi`)"


def _kernels() -> Any:
    from cdzoo.ops import triton_kernels  # imports Triton

    return triton_kernels


class _Launch:
    """Sizes and arguments that the kernels of one call share."""

    def __init__(self, x: Tensor, delta: Tensor, A: Tensor, bias: Tensor | None, index: Tensor, softplus: bool) -> None:
        self.batch, self.length, self.channels = x.shape
        self.directions, _, self.state = A.shape
        self.chunks = -(-self.length // CHUNK)
        # 32 channels are one 128-byte line per step; fewer channels need no wider tile.
        self.block = min(32, _power_of_two(self.channels))
        self.blocks = -(-self.channels // self.block)
        self.sizes = (self.length, self.channels, self.state, self.batch, self.directions)
        self.grid = (self.chunks, self.directions * self.batch, self.blocks)
        self.options = {"T": CHUNK, "BLOCK_D": self.block, "HAS_BIAS": bias is not None, "SOFTPLUS": softplus}
        self.bias = x if bias is None else bias  # any pointer: the kernel does not look at it
        self.A, self.delta, self.index = A, delta, index

    def borders(self) -> tuple[Tensor, Tensor]:
        """Return empty buffers for the chunks' states and sums of dt."""
        shape = (self.directions, self.batch, self.chunks, self.channels)
        return self.A.new_empty((*shape, self.state)), self.A.new_empty(shape)

    def chain(self, ends: Tensor, sums: Tensor, reverse: bool) -> None:
        """Run the second pass in place."""
        _kernels().carry[(self.directions * self.batch, self.blocks)](
            self.A, ends, sums, self.chunks, self.channels, self.state, self.batch,
            BLOCK_D=self.block, BLOCK_N=_power_of_two(self.state), REVERSE=reverse,
        )  # fmt: skip


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()


def forward(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    index: Tensor,
    delta_softplus: bool,
    save_states: bool,
) -> tuple[Tensor, Tensor]:
    """Scan K directions and sum them in place; shapes as in :mod:`cdzoo.ops.backends`, float32 or half types."""
    if x.numel() == 0:
        return torch.empty_like(x), A.new_zeros((A.shape[0], x.shape[0], 0, x.shape[2], A.shape[2]) if save_states else (0,))
    run, kernels = _Launch(x, delta, A, delta_bias, index, delta_softplus), _kernels()
    states, sums = run.borders()
    kernels.summarize[run.grid](x, delta, A, B, run.bias, index, states, sums, *run.sizes, **run.options)
    run.chain(states, sums, reverse=False)
    maps = A.new_empty((run.directions, *x.shape))
    kernels.outputs[run.grid](
        x, delta, A, B, C, x if D is None else D, run.bias, index, states, maps, *run.sizes,
        HAS_D=D is not None, **run.options,
    )  # fmt: skip
    return maps.sum(0).to(x.dtype), states if save_states else A.new_empty(0)


def backward(
    grad_y: Tensor,
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    index: Tensor,
    delta_softplus: bool,
    states: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Gradients of :func:`forward` with respect to x, delta, A, B, C, D and delta_bias, in that order."""
    if x.numel() == 0:
        rest = [None if t is None else torch.zeros_like(t) for t in (D, delta_bias)]
        dx, ddelta, dA, dB, dC = (torch.zeros_like(t) for t in (x, delta, A, B, C))
        return dx, ddelta, dA, dB, dC, rest[0], rest[1]
    run, kernels = _Launch(x, delta, A, delta_bias, index, delta_softplus), _kernels()
    back, sums = run.borders()
    kernels.summarize_adjoint[run.grid](grad_y, delta, A, C, run.bias, index, back, sums, *run.sizes, **run.options)
    run.chain(back, sums, reverse=True)
    dx = A.new_empty((run.directions, *x.shape))
    ddelta = torch.empty_like(delta)
    dA, dD = run.borders()
    dbias = torch.empty_like(dD)
    dB, dC = (A.new_empty((run.blocks, *B.shape)) for _ in range(2))
    kernels.gradients[run.grid](
        grad_y, x, delta, A, B, C, x if D is None else D, run.bias, index, states, back,
        dx, ddelta, dA, dB, dC, dD, dbias, *run.sizes, HAS_D=D is not None, **run.options,
    )  # fmt: skip
    return (
        dx.sum(0).to(x.dtype),
        ddelta,
        dA.sum((1, 2)),
        dB.sum(0).to(B.dtype),
        dC.sum(0).to(C.dtype),
        None if D is None else dD.sum((1, 2)),
        None if delta_bias is None else dbias.sum((1, 2)),
    )
