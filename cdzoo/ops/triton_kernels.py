"""Triton kernels of the multi-direction selective scan; :mod:`cdzoo.ops.scan_triton` launches them and describes the design.

A program is one warp. It walks over a segment of one direction of one image, one step at a time, with the states of its channels
in registers. States are tiles of shape (RQ, RN, RD, LN, LD): the 32 lanes of the warp are LN groups of states times LD channels,
and each lane holds RQ * RN states of RD channels. Per-channel values are tiles (RD, LN, LD), projections are tiles
(RQ, RN, LN, LD). These shapes make Triton's default layout place the last two axes on the lanes and the others in registers, so
that a tile is never exchanged through shared memory. RN is at most 4, so that a lane loads its projections 16 bytes at a time.

Names: K directions, B images, L positions, D channels, N states, T steps of an unrolled block, CHUNK steps between saved states.
"""

# Triton's language has no types that mypy knows, and the arguments of a kernel are pointers and numbers.
# mypy: ignore-errors
# Tuples are extended by sums: Triton does not unpack them in a tuple display.
# ruff: noqa: ANN001, ANN201, ANN202, RUF005

from __future__ import annotations

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)
CHUNK = tl.constexpr(64)
# Tiles rely on it: if Triton knew that a row of channels is aligned, it would give each lane adjacent channels.
_SIZES = ["L", "D", "B", "K", "k0", "span", "segments", "chunks"]


@triton.jit
def _exp2(v, FAST: tl.constexpr):
    """Return 2 ** v; FAST takes the instruction that flushes results below 2 ** -126 to zero, which needs no scaling."""
    if FAST:
        return tl.inline_asm_elementwise("ex2.approx.ftz.f32 $0, $1;", "=r,r", [v], dtype=tl.float32, is_pure=True, pack=1)
    else:
        return tl.exp2(v)


@triton.jit
def _reciprocal(v, FAST: tl.constexpr):
    """Return 1 / v for v from 1 to 2."""
    if FAST:
        return tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=r,r", [v], dtype=tl.float32, is_pure=True, pack=1)
    else:
        return 1.0 / v


@triton.jit
def _softplus(raw, FAST: tl.constexpr):
    """Return log(1 + exp(raw)) = max(raw, 0) + log1p(s) with s = exp(-|raw|), and s.

    log1p(s) / s on [0, 1] is a polynomial with a relative error of 2e-7: a logarithm of 1 + s would lose small values of s.
    """
    s = _exp2(-tl.abs(raw) * LOG2E, FAST)
    p = s * 0.0052326940931379795 - 0.02950523979961872
    p = p * s + 0.07822595536708832
    p = p * s - 0.13663245737552643
    p = p * s + 0.19106006622314453
    p = p * s - 0.2484298199415207
    p = p * s + 0.3331909775733948
    p = p * s - 0.4999949336051941
    p = p * s + 0.9999999403953552
    return tl.maximum(raw, 0.0) + s * p, s


@triton.jit
def _channels(first, RD: tl.constexpr, LN: tl.constexpr, LD: tl.constexpr):
    """Return the channel numbers of a tile (RD, LN, LD), the same for all LN; 64-bit, so that offsets fold into addresses."""
    d = tl.arange(0, RD)[:, None, None] * LD + tl.arange(0, LD)[None, None, :]
    return tl.broadcast_to(first + d.to(tl.int64), (RD, LN, LD))


@triton.jit
def _states(RQ: tl.constexpr, RN: tl.constexpr, LN: tl.constexpr, LD: tl.constexpr):
    """Return the state numbers of a tile (RQ, RN, LN, LD), the same for all LD; 64-bit too."""
    n = (tl.arange(0, LN)[None, None, :, None] * RQ + tl.arange(0, RQ)[:, None, None, None]) * RN
    return tl.broadcast_to((n + tl.arange(0, RN)[None, :, None, None]).to(tl.int64), (RQ, RN, LN, LD))


@triton.jit
def _both(d, n, D, N: tl.constexpr, RQ: tl.constexpr, RN: tl.constexpr, LN: tl.constexpr):
    """Return offsets into a (D, N) matrix and a mask as tiles (RQ, RN, RD, LN, LD), from channel and state numbers."""
    d, n = d[None, None, :, :, :], tl.expand_dims(n, 2)
    mask = (d < D) & (n < N)
    return d * N + n, mask


@triton.jit
def _positions(index, first, L, T: tl.constexpr):
    """Return the map positions of T steps from `first` on, as scalars; 0 where there is no step."""
    found = ()
    for i in tl.static_range(T):
        t = first + i
        found = found + (tl.load(index + t, mask=(t >= 0) & (t < L), other=0).to(tl.int64),)
    return found


@triton.jit
def _rows(base, positions, stride, offset, mask, first, L, T: tl.constexpr):
    """Load T tiles at map positions, in fp32; 0 where there is no step or no channel."""
    found = ()
    for i in tl.static_range(T):
        t = first + i
        value = tl.load(base + positions[i] * stride + offset, mask=mask & (t >= 0) & (t < L), other=0.0)
        found = found + (value.to(tl.float32),)
    return found


@triton.jit
def _projection(base, position, stride, n, N: tl.constexpr, FULL: tl.constexpr):
    """Load a row of B or C as a tile (RQ, RN, 1, LN, LD). It needs no mask for missing steps: their step size is 0."""
    if FULL:
        value = tl.load(base + position * stride + n)
    else:
        value = tl.load(base + position * stride + n, mask=n < N, other=0.0)
    return tl.expand_dims(value.to(tl.float32), 2)


@triton.jit
def _spread(v, RQ: tl.constexpr):
    """Return a tile (RD, LN, LD) as (1, 1, RD, LN, LD)."""
    return v[None, None, :, :, :]


@triton.jit
def _over_states(v, RD: tl.constexpr, LN: tl.constexpr, LD: tl.constexpr):
    """Sum a tile (RQ, RN, RD, LN, LD) over states; (RD, LN, LD), the same for all LN."""
    v = tl.sum(tl.sum(v, 0), 0)
    if LN > 1:
        v = tl.broadcast_to(tl.expand_dims(tl.sum(v, 1), 1), (RD, LN, LD))
    return v


@triton.jit
def _over_channels(v, RQ: tl.constexpr, RN: tl.constexpr, LN: tl.constexpr, LD: tl.constexpr):
    """Sum a tile (RQ, RN, RD, LN, LD) over channels; (RQ, RN, LN, LD), the same for all LD."""
    return tl.broadcast_to(tl.expand_dims(tl.sum(tl.sum(v, 2), 3), 3), (RQ, RN, LN, LD))


@triton.jit
def _step(raw, bias, valid, HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr, FAST: tl.constexpr):
    """Return the step size, 0 where there is no step, and its derivative with respect to `raw`."""
    if HAS_BIAS:
        raw += bias
    if SOFTPLUS:
        dt, s = _softplus(raw, FAST)
        slope = tl.where(raw >= 0, 1.0, s) * _reciprocal(1.0 + s, FAST)
    else:
        dt = raw
        slope = raw * 0.0 + 1.0
    return tl.where(valid, dt, 0.0), slope


@triton.jit(do_not_specialize=["L", "D", "B", "K", "span", "segments"])
def segment_ends(
    x, delta, A, Bm, bias, index, ends, sums, L, D, B, K, span, segments,
    N: tl.constexpr, RQ: tl.constexpr, RN: tl.constexpr, RD: tl.constexpr, LN: tl.constexpr, LD: tl.constexpr, T: tl.constexpr,
    ADJOINT: tl.constexpr, HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr, FAST: tl.constexpr,
):  # fmt: skip
    """Store what a segment leaves behind when it starts from zero, into `ends`, and its sum of step sizes, into `sums`.

    That is the state after its last step or, with ADJOINT, the gradient of the state before its first step; `x` and `Bm` are then
    the gradient of the output and C. Shapes: `ends` (K, B, segments, D, N), `sums` (K, B, segments, D).
    """
    segment, row = tl.program_id(0) + ADJOINT, tl.program_id(1)
    k, b, row = (row // B).to(tl.int64), (row % B).to(tl.int64), row.to(tl.int64)
    d, n = _channels(tl.program_id(2) * (RD * LD), RD, LN, LD), _states(RQ, RN, LN, LD)
    in_d = d < D
    both, in_both = _both(d, n, D, N, RQ, RN, LN)
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
    pos = _positions(index, first, L, T)
    raws, us = _rows(delta, pos, D, d, in_d, first, L, T), _rows(x, pos, D, d, in_d, first, L, T)
    for _ in range(blocks):
        following = first - T if ADJOINT else first + T
        next_pos = _positions(index, following, L, T)
        next_raws, next_us = _rows(delta, next_pos, D, d, in_d, following, L, T), _rows(x, next_pos, D, d, in_d, following, L, T)
        for i in tl.static_range(T - 1 if ADJOINT else 0, -1 if ADJOINT else T, -1 if ADJOINT else 1):
            proj = _projection(Bm, pos[i], K * N, n, N, RQ * RN * LN == N)
            dt, _slope = _step(raws[i], shift, first + i < L, HAS_BIAS, SOFTPLUS, FAST)
            total += dt
            decay = _exp2(_spread(dt, RQ) * rate, FAST)
            if ADJOINT:
                h = (h + _spread(us[i], RQ) * proj) * decay
            else:
                h = h * decay + _spread(dt * us[i], RQ) * proj
        first, pos, raws, us = following, next_pos, next_raws, next_us
    out = row * segments + segment
    tl.store(ends + out * D * N + both, h, mask=in_both)
    tl.store(sums + out * D + d, total, mask=in_d)


@triton.jit(do_not_specialize=["segments"])
def carry(A, ends, sums, segments, D, N, B, BLOCK_D: tl.constexpr, BLOCK_N: tl.constexpr, REVERSE: tl.constexpr):
    """Chain the segments of a direction: `ends` becomes what each segment starts from (REVERSE: what comes back into its end)."""
    row = tl.program_id(0).to(tl.int64)
    d, n = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_N)
    mask = (d < D)[:, None] & (n < N)[None, :]
    decay = tl.load(A + ((row // B) * D + d)[:, None] * N + n[None, :], mask=mask, other=0.0)
    state = tl.zeros((BLOCK_D, BLOCK_N), tl.float32)
    for i in range(segments):
        c = segments - 1 - i if REVERSE else i
        at = (row * segments + c) * D + d
        used = i + 1 < segments  # nothing starts from what the last one leaves, and it was not computed
        own = tl.load(ends + at[:, None] * N + n[None, :], mask=mask & used, other=0.0)
        total = tl.load(sums + at, mask=(d < D) & used, other=0.0)
        tl.store(ends + at[:, None] * N + n[None, :], state, mask=mask)
        state = tl.exp2(decay * total[:, None]) * state + own


@triton.jit(do_not_specialize=_SIZES)
def outputs(
    x, delta, A, Bm, Cm, Dm, bias, index, starts, states, so_far, y, L, D, B, K, k0, span, segments, chunks,
    N: tl.constexpr, RQ: tl.constexpr, RN: tl.constexpr, RD: tl.constexpr, LN: tl.constexpr, LD: tl.constexpr, T: tl.constexpr,
    STARTS: tl.constexpr, SAVE: tl.constexpr, MAPS: tl.constexpr, ADD: tl.constexpr,
    HAS_D: tl.constexpr, HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr, FAST: tl.constexpr,
):  # fmt: skip
    """Scan a segment from the state before it and write its outputs at their map positions.

    MAPS: into the direction's own map of `y` (K, B, L, D). Otherwise into `y` (B, L, D), ADD: plus what is in `so_far` (B, L, D).
    STARTS: read the first state from `starts`, else it is zero. SAVE: write the state before every chunk to `states`.
    """
    segment, row = tl.program_id(0), k0 * B + tl.program_id(1)
    k, b, row = (row // B).to(tl.int64), (row % B).to(tl.int64), row.to(tl.int64)
    d, n = _channels(tl.program_id(2) * (RD * LD), RD, LN, LD), _states(RQ, RN, LN, LD)
    in_d = d < D
    writes = in_d & (tl.arange(0, LN)[None, :, None] == 0)
    both, in_both = _both(d, n, D, N, RQ, RN, LN)
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
    pos = _positions(index, first, L, T)
    raws, us = _rows(delta, pos, D, d, in_d, first, L, T), _rows(x, pos, D, d, in_d, first, L, T)
    for chunk in range(first // CHUNK, tl.cdiv(last, CHUNK)):
        if SAVE:
            tl.store(states + (row * chunks + chunk) * D * N + both, h, mask=in_both)
        for _ in range(tl.cdiv(tl.minimum(CHUNK, last - first), T)):
            following = first + T
            next_pos = _positions(index, following, L, T)
            next_raws, next_us = (
                _rows(delta, next_pos, D, d, in_d, following, L, T),
                _rows(x, next_pos, D, d, in_d, following, L, T),
            )
            for i in tl.static_range(T):
                valid = first + i < L
                b_t = _projection(Bm, pos[i], K * N, n, N, RQ * RN * LN == N)
                c_t = _projection(Cm, pos[i], K * N, n, N, RQ * RN * LN == N)
                at = pos[i] * D + d
                before = tl.load(so_far + at, mask=writes & valid, other=0.0) if ADD else 0.0
                dt, _slope = _step(raws[i], shift, valid, HAS_BIAS, SOFTPLUS, FAST)
                h = h * _exp2(_spread(dt, RQ) * rate, FAST) + _spread(dt * us[i], RQ) * b_t
                out = _over_states(h * c_t, RD, LN, LD)
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
    """Walk back over a segment, from the gradient that comes back into its end, and write all gradients.

    The states of a chunk are recomputed twice: once to leave the state before every T steps in `scratch`, which only the lane
    that wrote it reads, then block by block from the last to the first, in registers. KEEP: keep the decays of a block too
    instead of computing them again. dx is written as `outputs` writes y; dB and dC go to a map per block of channels
    (blocks, B, L, K, N), dA (K, B, segments, D, N), dD and dbias (K, B, segments, D) to a row per program.
    """
    segment, row = tl.program_id(0), k0 * B + tl.program_id(1)
    k, b, row = (row // B).to(tl.int64), (row % B).to(tl.int64), row.to(tl.int64)
    d, n = _channels(tl.program_id(2) * (RD * LD), RD, LN, LD), _states(RQ, RN, LN, LD)
    in_d = d < D
    writes = in_d & (tl.arange(0, LN)[None, :, None] == 0)
    one_lane = (tl.arange(0, LD)[None, None, None, :] == 0) & (n < N)
    both, in_both = _both(d, n, D, N, RQ, RN, LN)
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
            # Lanes that share channels take turns at the step sizes.
            tl.debug_barrier()
            for j in range(tl.cdiv(blocks * T, LN)):
                t = start + j * LN + turn
                here = tl.load(index + t, mask=t < L, other=0).to(tl.int64)
                raw = tl.load(delta + here * D + d, mask=in_d & (t < L), other=0.0).to(tl.float32)
                dt, slope = _step(raw, shift, t < L, HAS_BIAS, SOFTPLUS, FAST)
                tl.store(steps + (j * LN + turn) * (RD * LD) + local, dt)
                tl.store(slopes + (j * LN + turn) * (RD * LD) + local, slope)
            tl.debug_barrier()
        for j in range(blocks - 1):
            tl.store(scratch + j * SLOT + slot, h)
            first = start + j * T
            pos = _positions(index, first, L, T)
            us = _rows(x, pos, D, d, in_d, first, L, T)
            if not STAGE:
                raws = _rows(delta, pos, D, d, in_d, first, L, T)
            for i in tl.static_range(T):
                b_t = _projection(Bm, pos[i], K * N, n, N, RQ * RN * LN == N)
                if STAGE:
                    dt = tl.load(steps + (j * T + i) * (RD * LD) + local)
                else:
                    dt, _slope = _step(raws[i], shift, first + i < L, HAS_BIAS, SOFTPLUS, FAST)
                h = h * _exp2(_spread(dt, RQ) * rate, FAST) + _spread(dt * us[i], RQ) * b_t
        tl.store(scratch + (blocks - 1) * SLOT + slot, h)
        for j_back in range(blocks):
            j = blocks - 1 - j_back
            first = start + j * T
            pos = _positions(index, first, L, T)
            us = _rows(x, pos, D, d, in_d, first, L, T)
            if not STAGE:
                raws = _rows(delta, pos, D, d, in_d, first, L, T)
            h = tl.load(scratch + j * SLOT + slot)
            befores, decays, kept_steps, kept_slopes = (), (), (), ()
            for i in tl.static_range(T):
                b_t = _projection(Bm, pos[i], K * N, n, N, RQ * RN * LN == N)
                if STAGE:
                    dt = tl.load(steps + (j * T + i) * (RD * LD) + local)
                else:
                    dt, slope = _step(raws[i], shift, first + i < L, HAS_BIAS, SOFTPLUS, FAST)
                    kept_steps, kept_slopes = kept_steps + (dt,), kept_slopes + (slope,)
                decay = _exp2(_spread(dt, RQ) * rate, FAST)
                befores, decays = befores + (h,), decays + (decay,)
                h = h * decay + _spread(dt * us[i], RQ) * b_t
            for i in tl.static_range(T - 1, -1, -1):
                valid = first + i < L
                at = pos[i] * D + d
                at_n = pos[i] * (K * N) + n
                gy = tl.load(grad + at, mask=in_d & valid, other=0.0).to(tl.float32)
                b_t = _projection(Bm, pos[i], K * N, n, N, RQ * RN * LN == N)
                c_t = _projection(Cm, pos[i], K * N, n, N, RQ * RN * LN == N)
                h_before = befores[i]
                if STAGE:
                    dt = tl.load(steps + (j * T + i) * (RD * LD) + local)
                    slope = tl.load(slopes + (j * T + i) * (RD * LD) + local)
                    u = tl.load(x + at, mask=in_d & valid, other=0.0).to(tl.float32)
                else:
                    dt, slope, u = kept_steps[i], kept_slopes[i], us[i]
                tl.store(dC + at_n, _over_channels(_spread(gy, RQ) * h, RQ, RN, LN, LD), mask=one_lane & valid)
                g += _spread(gy, RQ) * c_t
                tl.store(dB + at_n, _over_channels(g * _spread(dt * u, RQ), RQ, RN, LN, LD), mask=one_lane & valid)
                g_input = _over_states(g * b_t, RD, LN, LD)
                if KEEP:
                    rate_again, decay = rate, decays[i]
                else:
                    # Read after a store, so that the compiler does not keep these and the decays in registers.
                    rate_again = tl.load(A + k * D * N + both, mask=in_both, other=0.0)
                    decay = _exp2(_spread(dt, RQ) * rate_again, FAST)
                g = g * decay
                through = g * h_before
                g_rate += through * _spread(dt, RQ)
                g_raw = (_over_states(through * rate_again, RD, LN, LD) * LN2 + g_input * u) * slope
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
