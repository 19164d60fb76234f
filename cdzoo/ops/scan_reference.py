"""Backend ``reference``: the selective scan in plain PyTorch, on any device and in any floating-point type.

The recurrence ``h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t`` is linear, so chunks of ``CHUNK`` steps are scanned in parallel: a
first pass from zero states gives what each chunk adds, a loop over the chunks then gives the state that enters each of them, and
a second pass starts from these states. That is 2 * CHUNK vectorized steps instead of L small ones. Every exponent is a sum of
``dt * A`` with ``A <= 0``, never a difference, so large step sizes do not overflow.

The backward pass is the same scan in reverse for the adjoint of h, with states recomputed from the saved ones. It is written
without autograd, because it runs inside a custom operator.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from cdzoo.ops.args import CHUNK, Gradients, ScanArgs

_FORWARD_BUDGET = 1 << 19  # elements of one state tensor; about the size at which CPU caches stop helping
_BACKWARD_BUDGET = 1 << 17  # smaller, because 2 * CHUNK such tensors are alive at once


def unavailable() -> str | None:
    """Return None: this backend always works."""
    return None


class _Tile:
    """Inputs in scan order of some rows of the flattened (direction, batch) axis and some channels.

    Attributes:
        pairs: (direction, image) of each of the R rows.
        at: The same as tensors (R, 1).
        path: Map positions in scan order, (R, L).
        channels: The d channels.
        x: Input (R, L, d).
        raw: Step sizes before softplus, (R, L, d).
        dt: Step sizes (R, L, d).
        b: Input projections (R, L, N).
        c: Output projections (R, L, N).
        decay: Decay rates (R, 1, d, N).
    """

    def __init__(self, args: ScanArgs, index: Tensor, delta_softplus: bool, rows: range, channels: slice) -> None:
        self.pairs = [divmod(row, len(args.x)) for row in rows]
        self.at = k, b = tuple(torch.tensor(self.pairs, device=index.device).T.unsqueeze(-1))
        self.path, self.channels = index[k.squeeze(1)], channels
        self.x, self.raw = args.x[b, self.path, channels], args.delta[k, b, self.path, channels]
        if args.delta_bias is not None:
            self.raw = self.raw + args.delta_bias[k, channels]
        self.dt = F.softplus(self.raw) if delta_softplus else self.raw
        self.b, self.c = args.B[b, self.path, k], args.C[b, self.path, k]
        self.decay = args.A[k, channels]

    def add_to(self, total: Tensor, values: Tensor) -> None:
        """Add values (R, L, d) to a map (B, L, Dm), row by row."""
        for (_, b), path, row in zip(self.pairs, self.path, values, strict=True):
            total[b, :, self.channels].index_add_(0, path, row)


def _tiles(args: ScanArgs, index: Tensor, delta_softplus: bool, budget: int) -> Iterator[tuple[slice, _Tile]]:
    """Yield tiles of at most `budget` states, each with its rows; a tile has several rows only if it has all channels."""
    batch, length, channels = args.x.shape
    directions, _, state = args.A.shape
    per_channel = -(-length // CHUNK) * state
    width = max(1, min(channels, budget // per_channel))
    height = max(1, budget // (per_channel * channels))
    rows, index = range(directions * batch), index.long()
    for r in range(0, len(rows), height):
        for d in range(0, channels, width):
            yield slice(r, r + height), _Tile(args, index, delta_softplus, rows[r : r + height], slice(d, d + width))


def _steps(seq: Tensor) -> Tensor:
    """(R, L, F) -> (T, R, chunks, F): step-major, padded with zeros, since dt = 0 leaves a state unchanged."""
    rows, length, features = seq.shape
    steps = min(CHUNK, length)
    chunks = -(-length // steps)
    seq = F.pad(seq, (0, 0, 0, chunks * steps - length))
    return seq.view(rows, chunks, steps, features).permute(2, 0, 1, 3).contiguous()


def _unsteps(seq: Tensor, length: int) -> Tensor:
    """(T, R, chunks, F) -> (R, L, F): the inverse of :func:`_steps`."""
    return seq.permute(1, 2, 0, 3).flatten(1, 2)[:, :length]


def _borders(local: Tensor, total: Tensor, reverse: bool = False) -> Tensor:
    """Return the value that enters each chunk, (R, chunks, d, N), given what each chunk adds and its total decay."""
    entering = torch.zeros_like(local)
    chunks = local.shape[1]
    order = range(chunks - 1, 0, -1) if reverse else range(chunks - 1)
    for c in order:
        step = c - 1 if reverse else c + 1
        torch.addcmul(local[:, c], total[:, c], entering[:, c], out=entering[:, step])
    return entering


def forward(args: ScanArgs, index: Tensor, delta_softplus: bool, save_states: bool) -> tuple[Tensor, Tensor]:
    """Scan K directions and sum the results at each position; shapes as in :mod:`cdzoo.ops.backends`."""
    x, A, D = args.x, args.A, args.D
    batch, length, channels = x.shape
    chunks = -(-length // CHUNK)
    y = torch.zeros_like(x)
    states = x.new_empty((len(A), batch, chunks, channels, A.shape[2]) if save_states else (0,))
    for rows, tile in _tiles(args, index, delta_softplus, _FORWARD_BUDGET):
        dt, du = _steps(tile.dt).unsqueeze(-1), _steps(tile.dt * tile.x).unsqueeze(-1)  # (T, R, chunks, d, 1)
        b, c = _steps(tile.b).unsqueeze(-2), _steps(tile.c).unsqueeze(-1)
        h = x.new_zeros(*dt.shape[1:4], A.shape[2])
        a = torch.empty_like(h)
        if chunks > 1:
            for t in range(len(dt)):
                torch.mul(dt[t], tile.decay, out=a)
                h.mul_(a.exp_()).addcmul_(du[t], b[t])
            h = _borders(h, torch.exp(dt.sum(0) * tile.decay))
        if save_states:
            states.flatten(0, 1)[rows, :, tile.channels] = h
        out = torch.empty_like(dt)
        for t in range(len(dt)):
            torch.mul(dt[t], tile.decay, out=a)
            h.mul_(a.exp_()).addcmul_(du[t], b[t])
            torch.matmul(h, c[t], out=out[t])
        tile.add_to(y, _unsteps(out.squeeze(-1), length))
    if D is not None:
        y += x * D.sum(0)
    return y, states


def backward(grad_y: Tensor, args: ScanArgs, index: Tensor, delta_softplus: bool, states: Tensor) -> Gradients:
    """Return the gradients of x, delta, A, B, C, D and delta_bias, in this order."""
    x, delta, A, B, C, D, delta_bias = args
    dx, ddelta = torch.zeros_like(x), torch.empty_like(delta)
    dA, dB, dC = torch.zeros_like(A), torch.zeros_like(B), torch.zeros_like(C)
    for rows, tile in _tiles(args, index, delta_softplus, _BACKWARD_BUDGET):
        k, b = tile.at
        grads = _tile_backward(tile, grad_y[b, tile.path, tile.channels], states.flatten(0, 1)[rows, :, tile.channels])
        g_dt, g_du, g_b, g_c = (_unsteps(g, x.shape[1]) for g in grads[:4])
        g_raw = g_dt + g_du * tile.x
        ddelta[k, b, tile.path, tile.channels] = g_raw * torch.sigmoid(tile.raw) if delta_softplus else g_raw
        tile.add_to(dx, g_du * tile.dt)
        dB[b, tile.path, k] += g_b
        dC[b, tile.path, k] += g_c
        for (direction, _), g_a in zip(tile.pairs, grads[4], strict=True):
            dA[direction, tile.channels] += g_a
    dD = None
    if D is not None:
        dx += grad_y * D.sum(0)
        dD = (grad_y * x).sum((0, 1)).expand(D.shape).clone()
    return dx, ddelta, dA, dB, dC, dD, None if delta_bias is None else ddelta.sum((1, 2))


def _tile_backward(tile: _Tile, grad_y: Tensor, start: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Scan a tile in reverse.

    Args:
        tile: Inputs.
        grad_y: Gradient of the output in scan order, (R, L, d).
        start: States that enter each chunk, (R, chunks, d, N).

    Returns:
        Gradients of dt (through the decay only), dt * x, b and c as (T, R, chunks, ...), see :func:`_steps`, and of the decay
        rates as (R, d, N).
    """
    gy, dt, du, b, c = (_steps(v) for v in (grad_y, tile.dt, tile.dt * tile.x, tile.b, tile.c))
    steps = len(dt)
    # States and decays of a chunk are kept: two tensors of CHUNK * budget elements, whatever the size of the map.
    h = start.new_empty(steps + 1, *start.shape)
    a = start.new_empty(steps, *start.shape)
    h[0] = start
    for t in range(steps):
        torch.mul(dt[t].unsqueeze(-1), tile.decay, out=a[t])
        torch.mul(h[t], a[t].exp_(), out=h[t + 1])
        h[t + 1].addcmul_(du[t].unsqueeze(-1), b[t].unsqueeze(-2))
    carry = torch.zeros_like(start)
    if start.shape[1] > 1:
        for t in range(steps - 1, -1, -1):
            carry.addcmul_(gy[t].unsqueeze(-1), c[t].unsqueeze(-2)).mul_(a[t])
        carry = _borders(carry, torch.exp(dt.sum(0).unsqueeze(-1) * tile.decay), reverse=True)
    g_a = torch.zeros_like(carry)
    g_dt, g_du, g_b, g_c = (torch.empty_like(v) for v in (dt, du, b, c))
    for t in range(steps - 1, -1, -1):
        carry.addcmul_(gy[t].unsqueeze(-1), c[t].unsqueeze(-2))  # adjoint of h after step t
        g_c[t] = torch.matmul(gy[t].unsqueeze(-2), h[t + 1]).squeeze(-2)
        g_b[t] = torch.matmul(du[t].unsqueeze(-2), carry).squeeze(-2)
        g_du[t] = torch.matmul(carry, b[t].unsqueeze(-1)).squeeze(-1)
        carry.mul_(a[t])
        through = carry * h[t]  # gradient of the exponent dt * A
        g_a.addcmul_(through, dt[t].unsqueeze(-1))
        g_dt[t] = through.mul_(tile.decay).sum(-1)
    return g_dt, g_du, g_b, g_c, g_a.sum(1)
