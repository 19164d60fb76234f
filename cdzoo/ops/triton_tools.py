"""Functions of the Triton kernels: arithmetic of one step, indices of channels and states, loads and sums.

Tiles and names are those of :mod:`cdzoo.ops.triton_kernels`.
"""

# Triton's language has no types that mypy knows, and the arguments of a kernel are pointers and numbers.
# mypy: ignore-errors
# Tuples are extended by sums: Triton does not unpack them in a tuple display.
# ruff: noqa: ANN001, ANN201, RUF005

from __future__ import annotations

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def exp2(v, FAST: tl.constexpr):
    """Return 2 ** v. FAST: use the instruction that flushes results below 2 ** -126 to zero, which requires no scaling."""
    if FAST:
        return tl.inline_asm_elementwise("ex2.approx.ftz.f32 $0, $1;", "=r,r", [v], dtype=tl.float32, is_pure=True, pack=1)
    else:
        return tl.exp2(v)


@triton.jit
def reciprocal(v, FAST: tl.constexpr):
    """Return 1 / v for v from 1 to 2."""
    if FAST:
        return tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=r,r", [v], dtype=tl.float32, is_pure=True, pack=1)
    else:
        return 1.0 / v


@triton.jit
def softplus(raw, FAST: tl.constexpr):
    """Return log(1 + exp(raw)) = max(raw, 0) + log1p(s) with s = exp(-|raw|), and s.

    log1p(s) / s on [0, 1] is approximated by a polynomial with a relative error of 2e-7; log(1 + s) would lose small values of s.
    """
    s = exp2(-tl.abs(raw) * LOG2E, FAST)
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
def channel_numbers(first, RD: tl.constexpr, LN: tl.constexpr, LD: tl.constexpr):
    """Return the channel indices of a tile (RD, LN, LD), equal along LN; 64-bit, so that offsets fold into addresses."""
    d = tl.arange(0, RD)[:, None, None] * LD + tl.arange(0, LD)[None, None, :]
    return tl.broadcast_to(first + d.to(tl.int64), (RD, LN, LD))


@triton.jit
def state_numbers(RQ: tl.constexpr, RN: tl.constexpr, LN: tl.constexpr, LD: tl.constexpr):
    """Return the state indices of a tile (RQ, RN, LN, LD), equal along LD; 64-bit for the same reason."""
    n = (tl.arange(0, LN)[None, None, :, None] * RQ + tl.arange(0, RQ)[:, None, None, None]) * RN
    return tl.broadcast_to((n + tl.arange(0, RN)[None, :, None, None]).to(tl.int64), (RQ, RN, LN, LD))


@triton.jit
def matrix(d, n, D, N: tl.constexpr, RQ: tl.constexpr, RN: tl.constexpr, LN: tl.constexpr):
    """Return offsets into a (D, N) matrix and a mask as tiles (RQ, RN, RD, LN, LD), from channel and state indices."""
    d, n = d[None, None, :, :, :], tl.expand_dims(n, 2)
    mask = (d < D) & (n < N)
    return d * N + n, mask


@triton.jit
def load_positions(index, first, L, T: tl.constexpr):
    """Return the map positions of T steps from `first` on, as scalars; 0 for steps beyond the path."""
    found = ()
    for i in tl.static_range(T):
        t = first + i
        found = found + (tl.load(index + t, mask=(t >= 0) & (t < L), other=0).to(tl.int64),)
    return found


@triton.jit
def load_rows(base, positions, stride, offset, mask, first, L, T: tl.constexpr):
    """Load T tiles at map positions, in fp32; 0 for steps beyond the path and channels beyond the map."""
    found = ()
    for i in tl.static_range(T):
        t = first + i
        value = tl.load(base + positions[i] * stride + offset, mask=mask & (t >= 0) & (t < L), other=0.0)
        found = found + (value.to(tl.float32),)
    return found


@triton.jit
def load_projection(base, position, stride, n, N: tl.constexpr, FULL: tl.constexpr):
    """Load a row of B or C as a tile (RQ, RN, 1, LN, LD). Steps beyond the path are not masked, as their step size is 0."""
    if FULL:
        value = tl.load(base + position * stride + n)
    else:
        value = tl.load(base + position * stride + n, mask=n < N, other=0.0)
    return tl.expand_dims(value.to(tl.float32), 2)


@triton.jit
def spread(v, RQ: tl.constexpr):
    """Return a tile (RD, LN, LD) as (1, 1, RD, LN, LD)."""
    return v[None, None, :, :, :]


@triton.jit
def over_states(v, RD: tl.constexpr, LN: tl.constexpr, LD: tl.constexpr):
    """Sum a tile (RQ, RN, RD, LN, LD) over states; return (RD, LN, LD), equal along LN."""
    v = tl.sum(tl.sum(v, 0), 0)
    if LN > 1:
        v = tl.broadcast_to(tl.expand_dims(tl.sum(v, 1), 1), (RD, LN, LD))
    return v


@triton.jit
def over_channels(v, RQ: tl.constexpr, RN: tl.constexpr, LN: tl.constexpr, LD: tl.constexpr):
    """Sum a tile (RQ, RN, RD, LN, LD) over channels; return (RQ, RN, LN, LD), equal along LD."""
    return tl.broadcast_to(tl.expand_dims(tl.sum(tl.sum(v, 2), 3), 3), (RQ, RN, LN, LD))


@triton.jit
def step_size(raw, bias, valid, HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr, FAST: tl.constexpr):
    """Return the step size, 0 for steps beyond the path, and its derivative with respect to `raw`."""
    if HAS_BIAS:
        raw += bias
    if SOFTPLUS:
        dt, s = softplus(raw, FAST)
        slope = tl.where(raw >= 0, 1.0, s) * reciprocal(1.0 + s, FAST)
    else:
        dt = raw
        slope = raw * 0.0 + 1.0
    return tl.where(valid, dt, 0.0), slope
