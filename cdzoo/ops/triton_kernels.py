"""Triton kernels of the multi-direction selective scan; `scan_triton.py` launches them and describes the design.

Names: K directions, B images, L positions, D channels, N states; T steps of a chunk. A program handles one chunk of one
direction of one image for BLOCK_D channels; tiles are (T, BLOCK_D), and states are taken one after the other.
"""

# Triton's language is not typed for mypy, and a kernel's arguments are pointers and numbers throughout.
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def _compose(a1, b1, a2, b2):
    """Two steps of the recurrence as one: h -> a2 (a1 h + b1) + b2."""
    return a1 * a2, a2 * b1 + b2


@triton.jit
def _place(index, L, D, T: tl.constexpr, BLOCK_D: tl.constexpr):
    """Return chunk, direction-and-image, channels, steps of this program and which of them exist."""
    chunk, d = tl.program_id(0), tl.program_id(2) * BLOCK_D + tl.arange(0, BLOCK_D)
    t = chunk * T + tl.arange(0, T)
    return chunk, tl.program_id(1).to(tl.int64), d, t, d < D, t < L


@triton.jit
def _steps(delta, bias, row, pos, valid, d, in_d, k, L, D, HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr):
    """Return the raw step sizes and the step sizes (T, BLOCK_D) at positions `pos`; 0 where there is no step."""
    mask = valid[:, None] & in_d[None, :]
    raw = tl.load(delta + (row * L + pos)[:, None] * D + d[None, :], mask=mask, other=0.0).to(tl.float32)
    if HAS_BIAS:
        raw += tl.load(bias + k * D + d, mask=in_d, other=0.0)[None, :]
    dt = raw
    if SOFTPLUS:
        # log1p is not in the language; below exp(-17) the sum with 1 would lose what is left, and softplus is exp itself.
        small = tl.exp(-tl.abs(raw))
        dt = tl.maximum(raw, 0.0) + tl.where(small < 1e-4, small - 0.5 * small * small, tl.log(1.0 + small))
    return raw, tl.where(mask, dt, 0.0)


@triton.jit
def summarize(
    x, delta, A, Bm, bias, index, ends, sums, L, D, N, B, K,
    T: tl.constexpr, BLOCK_D: tl.constexpr, HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """Per chunk: its state when it starts from zero, into `ends` (K, B, chunks, D, N), and its sum of dt, into `sums`.

    The state is sum_t exp(A (dt_{t+1} + ... + dt_last)) dt_t B_t x_t. The exponents are sums of what follows a step, taken from
    the end, so none is a difference of large numbers, and with A <= 0 no exponential exceeds 1.
    """
    chunk, row, d, t, in_d, valid = _place(index, L, D, T, BLOCK_D)
    k, b = row // B, row % B
    pos = tl.load(index + k * L + t, mask=valid, other=0).to(tl.int64)
    after = valid & (t + 1 < L) & (t + 1 < (chunk + 1) * T)
    next_pos = tl.load(index + k * L + t + 1, mask=after, other=0).to(tl.int64)
    _, dt = _steps(delta, bias, row, pos, valid, d, in_d, k, L, D, HAS_BIAS, SOFTPLUS)
    _, dt_next = _steps(delta, bias, row, next_pos, after, d, in_d, k, L, D, HAS_BIAS, SOFTPLUS)
    rest = tl.cumsum(dt_next, 0, reverse=True)
    u = tl.load(x + (b * L + pos)[:, None] * D + d[None, :], mask=valid[:, None] & in_d[None, :], other=0.0).to(tl.float32)
    du = dt * u
    out = (row * tl.num_programs(0) + chunk) * D + d
    tl.store(sums + out, tl.sum(dt, 0), mask=in_d)
    for n in range(N):
        decay = tl.load(A + (k * D + d) * N + n, mask=in_d, other=0.0) * LOG2E
        proj = tl.load(Bm + ((b * L + pos) * K + k) * N + n, mask=valid, other=0.0).to(tl.float32)
        tl.store(ends + out * N + n, tl.sum(tl.exp2(rest * decay[None, :]) * du * proj[:, None], 0), mask=in_d)


@triton.jit
def summarize_adjoint(
    grad, delta, A, Cm, bias, index, ends, sums, L, D, N, B, K,
    T: tl.constexpr, BLOCK_D: tl.constexpr, HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """Per chunk: the gradient of the state before it through its own outputs, into `ends`, and its sum of dt, into `sums`.

    The gradient is sum_t exp(A (dt_first + ... + dt_t)) C_t gy_t.
    """
    chunk, row, d, t, in_d, valid = _place(index, L, D, T, BLOCK_D)
    k, b = row // B, row % B
    pos = tl.load(index + k * L + t, mask=valid, other=0).to(tl.int64)
    _, dt = _steps(delta, bias, row, pos, valid, d, in_d, k, L, D, HAS_BIAS, SOFTPLUS)
    so_far = tl.cumsum(dt, 0)
    gy = tl.load(grad + (b * L + pos)[:, None] * D + d[None, :], mask=valid[:, None] & in_d[None, :], other=0.0).to(tl.float32)
    out = (row * tl.num_programs(0) + chunk) * D + d
    tl.store(sums + out, tl.sum(dt, 0), mask=in_d)
    for n in range(N):
        decay = tl.load(A + (k * D + d) * N + n, mask=in_d, other=0.0) * LOG2E
        proj = tl.load(Cm + ((b * L + pos) * K + k) * N + n, mask=valid, other=0.0).to(tl.float32)
        tl.store(ends + out * N + n, tl.sum(tl.exp2(so_far * decay[None, :]) * gy * proj[:, None], 0), mask=in_d)


@triton.jit
def carry(A, ends, sums, chunks, D, N, B, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr, REVERSE: tl.constexpr):
    """Chain the chunks of a direction: `ends` becomes what each chunk starts from (REVERSE: what comes back into its end)."""
    row = tl.program_id(0).to(tl.int64)
    d, n = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_N)
    mask = (d < D)[:, None] & (n < N)[None, :]
    decay = tl.load(A + ((row // B) * D + d)[:, None] * N + n[None, :], mask=mask, other=0.0) * LOG2E
    state = tl.zeros((BLOCK_D, BLOCK_N), tl.float32)
    for i in range(chunks):
        c = chunks - 1 - i if REVERSE else i
        at = (row * chunks + c) * D + d
        own = tl.load(ends + at[:, None] * N + n[None, :], mask=mask, other=0.0)
        total = tl.load(sums + at, mask=d < D, other=0.0)
        tl.store(ends + at[:, None] * N + n[None, :], state, mask=mask)
        state = tl.exp2(decay * total[:, None]) * state + own


@triton.jit
def outputs(
    x, delta, A, Bm, Cm, Dm, bias, index, states, y, L, D, N, B, K,
    T: tl.constexpr, BLOCK_D: tl.constexpr, HAS_D: tl.constexpr, HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """Per chunk, from the state before it: its outputs, at their positions in the direction's own map of `y` (K, B, L, D)."""
    chunk, row, d, t, in_d, valid = _place(index, L, D, T, BLOCK_D)
    k, b = row // B, row % B
    mask = valid[:, None] & in_d[None, :]
    pos = tl.load(index + k * L + t, mask=valid, other=0).to(tl.int64)
    _, dt = _steps(delta, bias, row, pos, valid, d, in_d, k, L, D, HAS_BIAS, SOFTPLUS)
    u = tl.load(x + (b * L + pos)[:, None] * D + d[None, :], mask=mask, other=0.0).to(tl.float32)
    du = dt * u
    total = tl.zeros((T, BLOCK_D), tl.float32)
    if HAS_D:
        total += tl.load(Dm + k * D + d, mask=in_d, other=0.0)[None, :] * u
    first = (tl.arange(0, T) == 0)[:, None]
    border = ((row * tl.num_programs(0) + chunk) * D + d) * N
    for n in range(N):
        decay = tl.exp2(dt * (tl.load(A + (k * D + d) * N + n, mask=in_d, other=0.0) * LOG2E)[None, :])
        b_n = tl.load(Bm + ((b * L + pos) * K + k) * N + n, mask=valid, other=0.0).to(tl.float32)
        c_n = tl.load(Cm + ((b * L + pos) * K + k) * N + n, mask=valid, other=0.0).to(tl.float32)
        start = tl.load(states + border + n, mask=in_d, other=0.0)[None, :]
        _, h = tl.associative_scan((decay, du * b_n[:, None] + tl.where(first, decay * start, 0.0)), 0, _compose)
        total += h * c_n[:, None]
    tl.store(y + (row * L + pos)[:, None] * D + d[None, :], total, mask=mask)


@triton.jit
def gradients(
    grad, x, delta, A, Bm, Cm, Dm, bias, index, states, back, dx, ddelta, dA, dB, dC, dD, dbias, L, D, N, B, K,
    T: tl.constexpr, BLOCK_D: tl.constexpr, HAS_D: tl.constexpr, HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """Per chunk, from the state before it and the gradient that comes back into its end: all gradients.

    dx goes to the direction's own map (K, B, L, D), dB and dC to the channel block's own (blocks, B, L, K, N), dA, dD and dbias
    to the chunk's own rows; the caller adds them up. What a step gets through the decay is h_t - b_t = exp(dt A) h_{t-1}.
    """
    chunk, row, d, t, in_d, valid = _place(index, L, D, T, BLOCK_D)
    k, b = row // B, row % B
    mask = valid[:, None] & in_d[None, :]
    pos = tl.load(index + k * L + t, mask=valid, other=0).to(tl.int64)
    after = valid & (t + 1 < L) & (t + 1 < (chunk + 1) * T)
    next_pos = tl.load(index + k * L + t + 1, mask=after, other=0).to(tl.int64)
    raw, dt = _steps(delta, bias, row, pos, valid, d, in_d, k, L, D, HAS_BIAS, SOFTPLUS)
    _, dt_next = _steps(delta, bias, row, next_pos, after, d, in_d, k, L, D, HAS_BIAS, SOFTPLUS)
    at = (b * L + pos)[:, None] * D + d[None, :]
    u = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
    gy = tl.load(grad + at, mask=mask, other=0.0).to(tl.float32)
    du = dt * u
    g_du = tl.zeros((T, BLOCK_D), tl.float32)
    g_dt = tl.zeros((T, BLOCK_D), tl.float32)
    first = (tl.arange(0, T) == 0)[:, None]
    last = (valid & (after == 0))[:, None]
    chunk_row = (row * tl.num_programs(0) + chunk) * D + d
    part = tl.program_id(2).to(tl.int64) * B * L
    for n in range(N):
        a_n = tl.load(A + (k * D + d) * N + n, mask=in_d, other=0.0)
        scaled = (a_n * LOG2E)[None, :]
        at_n = ((b * L + pos) * K + k) * N + n
        b_n = tl.load(Bm + at_n, mask=valid, other=0.0).to(tl.float32)
        c_n = tl.load(Cm + at_n, mask=valid, other=0.0).to(tl.float32)
        start = tl.load(states + chunk_row * N + n, mask=in_d, other=0.0)[None, :]
        decay = tl.exp2(dt * scaled)
        inflow = du * b_n[:, None]
        _, h = tl.associative_scan((decay, inflow + tl.where(first, decay * start, 0.0)), 0, _compose)
        coming = tl.load(back + chunk_row * N + n, mask=in_d, other=0.0)[None, :]
        _, g = tl.associative_scan(
            (tl.exp2(dt_next * scaled), gy * c_n[:, None] + tl.where(last, coming, 0.0)), 0, _compose, reverse=True
        )
        g = tl.where(mask, g, 0.0)
        through = g * (h - inflow)
        g_du += g * b_n[:, None]
        g_dt += through * a_n[None, :]
        tl.store(dA + chunk_row * N + n, tl.sum(through * dt, 0), mask=in_d)
        out_n = part * K * N + at_n
        tl.store(dB + out_n, tl.sum(g * du, 1), mask=valid)
        tl.store(dC + out_n, tl.sum(gy * h, 1), mask=valid)
    g_raw = g_dt + g_du * u
    if SOFTPLUS:
        g_raw *= tl.sigmoid(raw)
    g_x = g_du * dt
    if HAS_D:
        g_x += tl.load(Dm + k * D + d, mask=in_d, other=0.0)[None, :] * gy
        tl.store(dD + chunk_row, tl.sum(gy * u, 0), mask=in_d)
    if HAS_BIAS:
        tl.store(dbias + chunk_row, tl.sum(tl.where(mask, g_raw, 0.0), 0), mask=in_d)
    here = (row * L + pos)[:, None] * D + d[None, :]
    tl.store(dx + here, g_x, mask=mask)
    tl.store(ddelta + here, g_raw, mask=mask)
