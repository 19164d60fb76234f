"""Triton kernels of the selective scan along several directions, launched by :mod:`cdzoo.ops.scan_triton`, which has the design.

A program is one warp. It walks over a segment of one direction of one image, one step at a time, with the states of its channels
in registers. States are tiles (RQ, RN, RD, LN, LD): the 32 lanes of the warp are LN groups of states times LD channels, and each
lane holds RQ * RN states of RD channels. Values per channel are tiles (RD, LN, LD), projections are tiles (RQ, RN, LN, LD). With
these shapes Triton's default layout distributes the last two axes over the lanes and keeps the others in registers, so no tile is
exchanged through shared memory. RN is at most 4, so that a lane loads its projections 16 bytes at a time.

Names: K directions, B images, L positions, D channels, N states, T steps of an unrolled block, CHUNK steps between saved states.
"""

# Triton's language has no types that mypy knows, and the arguments of a kernel are pointers and numbers.
# mypy: ignore-errors
# Tuples are extended by sums: Triton does not unpack them in a tuple display.
# ruff: noqa: ANN001, ANN201, RUF005

from __future__ import annotations

import triton
import triton.language as tl

from cdzoo.ops.triton_segments import carry, segment_ends
from cdzoo.ops.triton_tools import (
    channel_numbers,
    exp2,
    load_positions,
    load_projection,
    load_rows,
    matrix,
    over_channels,
    over_states,
    spread,
    state_numbers,
    step_size,
)

__all__ = ["carry", "gradients", "outputs", "segment_ends"]

LN2 = tl.constexpr(0.6931471805599453)
CHUNK = tl.constexpr(64)
# Not specialized: if Triton knew that rows of channels are aligned, it would assign adjacent channels to each lane.
_SIZES = ["L", "D", "B", "K", "k0", "span", "segments", "chunks"]


@triton.jit(do_not_specialize=_SIZES)
def outputs(
    x, delta, A, Bm, Cm, Dm, bias, index, starts, states, so_far, y, L, D, B, K, k0, span, segments, chunks,
    N: tl.constexpr, RQ: tl.constexpr, RN: tl.constexpr, RD: tl.constexpr, LN: tl.constexpr, LD: tl.constexpr, T: tl.constexpr,
    STARTS: tl.constexpr, SAVE: tl.constexpr, MAPS: tl.constexpr, ADD: tl.constexpr,
    HAS_D: tl.constexpr, HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr, FAST: tl.constexpr,
):  # fmt: skip
    """Scan a segment from the state before it and write its outputs at their map positions.

    MAPS: write to the map of the direction in `y` (K, B, L, D), otherwise to `y` (B, L, D). ADD: add `so_far` (B, L, D).
    STARTS: read the first state from `starts`, otherwise it is zero. SAVE: write the state before every chunk to `states`.
    """
    segment, row = tl.program_id(0), k0 * B + tl.program_id(1)
    k, b, row = (row // B).to(tl.int64), (row % B).to(tl.int64), row.to(tl.int64)
    d, n = channel_numbers(tl.program_id(2) * (RD * LD), RD, LN, LD), state_numbers(RQ, RN, LN, LD)
    in_d = d < D
    writes = in_d & (tl.arange(0, LN)[None, :, None] == 0)
    both, in_both = matrix(d, n, D, N, RQ, RN, LN)
    rate = tl.load(A + k * D * N + both, mask=in_both, other=0.0)
    shift = tl.load(bias + k * D + d, mask=in_d, other=0.0) if HAS_BIAS else 0.0
    skip = tl.load(Dm + k * D + d, mask=in_d, other=0.0) if HAS_D else 0.0
    index += k * L
    x += b * L * D
    delta += row * L * D
    Bm += (b * L * K + k) * N
    Cm += (b * L * K + k) * N
    y += (row if MAPS else b) * L * D
    so_far += b * L * D
    if STARTS:
        h = tl.load(starts + (row * segments + segment) * D * N + both, mask=in_both, other=0.0)
    else:
        h = tl.zeros((RQ, RN, RD, LN, LD), tl.float32)
    first = segment * span
    last = tl.minimum(first + span, L)
    pos = load_positions(index, first, L, T)
    raws, us = load_rows(delta, pos, D, d, in_d, first, L, T), load_rows(x, pos, D, d, in_d, first, L, T)
    for chunk in range(first // CHUNK, tl.cdiv(last, CHUNK)):
        if SAVE:
            tl.store(states + (row * chunks + chunk) * D * N + both, h, mask=in_both)
        for _ in range(tl.cdiv(tl.minimum(CHUNK, last - first), T)):
            following = first + T
            next_pos = load_positions(index, following, L, T)
            next_raws, next_us = (
                load_rows(delta, next_pos, D, d, in_d, following, L, T),
                load_rows(x, next_pos, D, d, in_d, following, L, T),
            )
            for i in tl.static_range(T):
                valid = first + i < L
                b_t = load_projection(Bm, pos[i], K * N, n, N, RQ * RN * LN == N)
                c_t = load_projection(Cm, pos[i], K * N, n, N, RQ * RN * LN == N)
                at = pos[i] * D + d
                before = tl.load(so_far + at, mask=writes & valid, other=0.0) if ADD else 0.0
                dt, _slope = step_size(raws[i], shift, valid, HAS_BIAS, SOFTPLUS, FAST)
                h = h * exp2(spread(dt, RQ) * rate, FAST) + spread(dt * us[i], RQ) * b_t
                out = over_states(h * c_t, RD, LN, LD)
                if HAS_D:
                    out += skip * us[i]
                tl.store(y + at, (out + before).to(y.dtype.element_ty), mask=writes & valid)
            first, pos, raws, us = following, next_pos, next_raws, next_us


@triton.jit(do_not_specialize=_SIZES)
def gradients(
    grad, x, delta, A, Bm, Cm, Dm, bias, index, states, back, scratch, so_far, dx, ddelta, dA, dB, dC, dD, dbias,
    L, D, B, K, k0, span, segments, chunks,
    N: tl.constexpr, RQ: tl.constexpr, RN: tl.constexpr, RD: tl.constexpr, LN: tl.constexpr, LD: tl.constexpr, T: tl.constexpr,
    KEEP: tl.constexpr, STAGE: tl.constexpr, BACK: tl.constexpr, MAPS: tl.constexpr, ADD: tl.constexpr,
    HAS_D: tl.constexpr, HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr, FAST: tl.constexpr,
):  # fmt: skip
    """Scan a segment in reverse, from the gradient of the state at its end, and write all gradients.

    The states of a chunk are recomputed twice: first to store the state before every T steps in `scratch`, where each lane reads
    only what it wrote, then block by block from the last to the first, in registers. KEEP: keep the decays of a block instead of
    recomputing them. STAGE: compute the step sizes once per chunk and share them through `scratch`. dx is written like y in
    `outputs`. dB and dC have a map per block of channels, (blocks, B, L, K, N); dA (K, B, segments, D, N), dD and dbias
    (K, B, segments, D) have a row per program.
    """
    segment, row = tl.program_id(0), k0 * B + tl.program_id(1)
    k, b, row = (row // B).to(tl.int64), (row % B).to(tl.int64), row.to(tl.int64)
    d, n = channel_numbers(tl.program_id(2) * (RD * LD), RD, LN, LD), state_numbers(RQ, RN, LN, LD)
    in_d = d < D
    writes = in_d & (tl.arange(0, LN)[None, :, None] == 0)
    one_lane = (tl.arange(0, LD)[None, None, None, :] == 0) & (n < N)
    both, in_both = matrix(d, n, D, N, RQ, RN, LN)
    rate = tl.load(A + k * D * N + both, mask=in_both, other=0.0)
    shift = tl.load(bias + k * D + d, mask=in_d, other=0.0) if HAS_BIAS else 0.0
    skip = tl.load(Dm + k * D + d, mask=in_d, other=0.0) if HAS_D else 0.0
    index += k * L
    x += b * L * D
    grad += b * L * D
    delta += row * L * D
    ddelta += row * L * D
    Bm += (b * L * K + k) * N
    Cm += (b * L * K + k) * N
    part = (tl.program_id(2) * B + b) * L * K + k
    dB += part * N
    dC += part * N
    dx += (row if MAPS else b) * L * D
    so_far += b * L * D
    program = (tl.program_id(2) * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(0) + segment
    SLOT: tl.constexpr = RQ * RN * RD * LN * LD
    scratch += program.to(tl.int64) * ((CHUNK // T) * SLOT + (2 * CHUNK * RD * LD if STAGE else 0))
    steps, slopes = scratch + (CHUNK // T) * SLOT, scratch + (CHUNK // T) * SLOT + CHUNK * RD * LD
    lane = tl.arange(0, LN)[None, None, None, :, None] * LD + tl.arange(0, LD)[None, None, None, None, :]
    held = (tl.arange(0, RQ)[:, None, None, None, None] * (LN * LD) + lane) * RD + tl.arange(0, RD)[None, None, :, None, None]
    slot = (held * RN + tl.arange(0, RN)[None, :, None, None, None]).to(tl.int64)
    local = tl.broadcast_to((tl.arange(0, LD)[None, None, :] * RD + tl.arange(0, RD)[:, None, None]).to(tl.int64), (RD, LN, LD))
    turn = tl.broadcast_to(tl.arange(0, LN)[None, :, None], (RD, LN, LD))
    out_row = row * segments + segment
    if BACK:
        g = tl.load(back + out_row * D * N + both, mask=in_both, other=0.0)
    else:
        g = tl.zeros((RQ, RN, RD, LN, LD), tl.float32)
    g_rate = tl.zeros((RQ, RN, RD, LN, LD), tl.float32)
    g_skip = tl.zeros((RD, LN, LD), tl.float32)
    g_bias = tl.zeros((RD, LN, LD), tl.float32)
    first_chunk = segment * span // CHUNK
    last = tl.minimum(segment * span + span, L)
    for c in range(tl.cdiv(last, CHUNK) - first_chunk):
        chunk = tl.cdiv(last, CHUNK) - 1 - c
        start = chunk * CHUNK
        blocks = tl.cdiv(tl.minimum(CHUNK, last - start), T)
        h = tl.load(states + (row * chunks + chunk) * D * N + both, mask=in_both, other=0.0)
        if STAGE:
            # Lanes that share channels divide the steps among themselves.
            tl.debug_barrier()
            for j in range(tl.cdiv(blocks * T, LN)):
                t = start + j * LN + turn
                here = tl.load(index + t, mask=t < L, other=0).to(tl.int64)
                raw = tl.load(delta + here * D + d, mask=in_d & (t < L), other=0.0).to(tl.float32)
                dt, slope = step_size(raw, shift, t < L, HAS_BIAS, SOFTPLUS, FAST)
                tl.store(steps + (j * LN + turn) * (RD * LD) + local, dt)
                tl.store(slopes + (j * LN + turn) * (RD * LD) + local, slope)
            tl.debug_barrier()
        for j in range(blocks - 1):
            tl.store(scratch + j * SLOT + slot, h)
            first = start + j * T
            pos = load_positions(index, first, L, T)
            us = load_rows(x, pos, D, d, in_d, first, L, T)
            if not STAGE:
                raws = load_rows(delta, pos, D, d, in_d, first, L, T)
            for i in tl.static_range(T):
                b_t = load_projection(Bm, pos[i], K * N, n, N, RQ * RN * LN == N)
                if STAGE:
                    dt = tl.load(steps + (j * T + i) * (RD * LD) + local)
                else:
                    dt, _slope = step_size(raws[i], shift, first + i < L, HAS_BIAS, SOFTPLUS, FAST)
                h = h * exp2(spread(dt, RQ) * rate, FAST) + spread(dt * us[i], RQ) * b_t
        tl.store(scratch + (blocks - 1) * SLOT + slot, h)
        for j_back in range(blocks):
            j = blocks - 1 - j_back
            first = start + j * T
            pos = load_positions(index, first, L, T)
            us = load_rows(x, pos, D, d, in_d, first, L, T)
            if not STAGE:
                raws = load_rows(delta, pos, D, d, in_d, first, L, T)
            h = tl.load(scratch + j * SLOT + slot)
            befores, decays, kept_steps, kept_slopes = (), (), (), ()
            for i in tl.static_range(T):
                b_t = load_projection(Bm, pos[i], K * N, n, N, RQ * RN * LN == N)
                if STAGE:
                    dt = tl.load(steps + (j * T + i) * (RD * LD) + local)
                else:
                    dt, slope = step_size(raws[i], shift, first + i < L, HAS_BIAS, SOFTPLUS, FAST)
                    kept_steps, kept_slopes = kept_steps + (dt,), kept_slopes + (slope,)
                decay = exp2(spread(dt, RQ) * rate, FAST)
                befores, decays = befores + (h,), decays + (decay,)
                h = h * decay + spread(dt * us[i], RQ) * b_t
            for i in tl.static_range(T - 1, -1, -1):
                valid = first + i < L
                at = pos[i] * D + d
                at_n = pos[i] * (K * N) + n
                gy = tl.load(grad + at, mask=in_d & valid, other=0.0).to(tl.float32)
                b_t = load_projection(Bm, pos[i], K * N, n, N, RQ * RN * LN == N)
                c_t = load_projection(Cm, pos[i], K * N, n, N, RQ * RN * LN == N)
                h_before = befores[i]
                if STAGE:
                    dt = tl.load(steps + (j * T + i) * (RD * LD) + local)
                    slope = tl.load(slopes + (j * T + i) * (RD * LD) + local)
                    u = tl.load(x + at, mask=in_d & valid, other=0.0).to(tl.float32)
                else:
                    dt, slope, u = kept_steps[i], kept_slopes[i], us[i]
                tl.store(dC + at_n, over_channels(spread(gy, RQ) * h, RQ, RN, LN, LD), mask=one_lane & valid)
                g += spread(gy, RQ) * c_t
                tl.store(dB + at_n, over_channels(g * spread(dt * u, RQ), RQ, RN, LN, LD), mask=one_lane & valid)
                g_input = over_states(g * b_t, RD, LN, LD)
                if KEEP:
                    rate_again, decay = rate, decays[i]
                else:
                    # Loaded after a store, so that the compiler does not keep the rates and the decays in registers.
                    rate_again = tl.load(A + k * D * N + both, mask=in_both, other=0.0)
                    decay = exp2(spread(dt, RQ) * rate_again, FAST)
                g = g * decay
                through = g * h_before
                g_rate += through * spread(dt, RQ)
                g_raw = (over_states(through * rate_again, RD, LN, LD) * LN2 + g_input * u) * slope
                g_x = g_input * dt
                if HAS_D:
                    g_x += skip * gy
                    g_skip += gy * u
                if HAS_BIAS:
                    g_bias += tl.where(valid, g_raw, 0.0)
                if ADD:
                    g_x += tl.load(so_far + at, mask=writes & valid, other=0.0)
                tl.store(dx + at, g_x.to(dx.dtype.element_ty), mask=writes & valid)
                tl.store(ddelta + at, g_raw.to(ddelta.dtype.element_ty), mask=writes & valid)
                h = h_before
    tl.store(dA + out_row * D * N + both, g_rate, mask=in_both)
    if HAS_D:
        tl.store(dD + out_row * D + d, g_skip, mask=writes)
    if HAS_BIAS:
        tl.store(dbias + out_row * D + d, g_bias, mask=writes)
