"""Triton kernels for the state before each segment of a path; tiles and names as in :mod:`cdzoo.ops.triton_kernels`."""

# Triton's language has no types that mypy knows, and the arguments of a kernel are pointers and numbers.
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import triton
import triton.language as tl

from cdzoo.ops.triton_tools import (
    channel_numbers,
    exp2,
    load_positions,
    load_projection,
    load_rows,
    matrix,
    spread,
    state_numbers,
    step_size,
)


@triton.jit(do_not_specialize=["L", "D", "B", "K", "span", "segments"])
def segment_ends(
    x, delta, A, Bm, bias, index, ends, sums, L, D, B, K, span, segments,
    N: tl.constexpr, RQ: tl.constexpr, RN: tl.constexpr, RD: tl.constexpr, LN: tl.constexpr, LD: tl.constexpr, T: tl.constexpr,
    ADJOINT: tl.constexpr, HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr, FAST: tl.constexpr,
):  # fmt: skip
    """Scan a segment from zero; write its last state to `ends` and its sum of step sizes to `sums`.

    ADJOINT: scan in reverse and write the gradient of the state before the first step; `x` and `Bm` are then the gradient of the
    output and C. Shapes: `ends` (K, B, segments, D, N), `sums` (K, B, segments, D).
    """
    segment, row = tl.program_id(0) + ADJOINT, tl.program_id(1)
    k, b, row = (row // B).to(tl.int64), (row % B).to(tl.int64), row.to(tl.int64)
    d, n = channel_numbers(tl.program_id(2) * (RD * LD), RD, LN, LD), state_numbers(RQ, RN, LN, LD)
    in_d = d < D
    both, in_both = matrix(d, n, D, N, RQ, RN, LN)
    rate = tl.load(A + k * D * N + both, mask=in_both, other=0.0)
    shift = tl.load(bias + k * D + d, mask=in_d, other=0.0) if HAS_BIAS else 0.0
    index += k * L
    x += b * L * D
    delta += row * L * D
    Bm += (b * L * K + k) * N
    start = segment * span
    blocks = tl.cdiv(tl.minimum(span, L - start), T)
    first = start + (blocks - 1) * T if ADJOINT else start
    h = tl.zeros((RQ, RN, RD, LN, LD), tl.float32)
    total = tl.zeros((RD, LN, LD), tl.float32)
    pos = load_positions(index, first, L, T)
    raws, us = load_rows(delta, pos, D, d, in_d, first, L, T), load_rows(x, pos, D, d, in_d, first, L, T)
    for _ in range(blocks):
        following = first - T if ADJOINT else first + T
        next_pos = load_positions(index, following, L, T)
        next_raws, next_us = (
            load_rows(delta, next_pos, D, d, in_d, following, L, T),
            load_rows(x, next_pos, D, d, in_d, following, L, T),
        )
        for i in tl.static_range(T - 1 if ADJOINT else 0, -1 if ADJOINT else T, -1 if ADJOINT else 1):
            proj = load_projection(Bm, pos[i], K * N, n, N, RQ * RN * LN == N)
            dt, _slope = step_size(raws[i], shift, first + i < L, HAS_BIAS, SOFTPLUS, FAST)
            total += dt
            decay = exp2(spread(dt, RQ) * rate, FAST)
            if ADJOINT:
                h = (h + spread(us[i], RQ) * proj) * decay
            else:
                h = h * decay + spread(dt * us[i], RQ) * proj
        first, pos, raws, us = following, next_pos, next_raws, next_us
    out = row * segments + segment
    tl.store(ends + out * D * N + both, h, mask=in_both)
    tl.store(sums + out * D + d, total, mask=in_d)


@triton.jit(do_not_specialize=["segments"])
def carry(A, ends, sums, segments, D, N, B, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr, REVERSE: tl.constexpr):
    """Chain the segments of a direction: replace `ends` by the state before each segment, or the gradient after it (REVERSE)."""
    row = tl.program_id(0).to(tl.int64)
    d, n = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_N)
    mask = (d < D)[:, None] & (n < N)[None, :]
    decay = tl.load(A + ((row // B) * D + d)[:, None] * N + n[None, :], mask=mask, other=0.0)
    state = tl.zeros((BLOCK_D, BLOCK_N), tl.float32)
    for i in range(segments):
        c = segments - 1 - i if REVERSE else i
        at = (row * segments + c) * D + d
        used = i + 1 < segments  # the last one was not computed, since no segment follows it
        own = tl.load(ends + at[:, None] * N + n[None, :], mask=mask & used, other=0.0)
        total = tl.load(sums + at, mask=(d < D) & used, other=0.0)
        tl.store(ends + at[:, None] * N + n[None, :], state, mask=mask)
        state = tl.exp2(decay * total[:, None]) * state + own
