"""Backend ``reference``: the selective scan in plain PyTorch, on any device and in any floating type.

The recurrence ``h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t`` is linear, so all chunks of ``CHUNK`` steps can be scanned at
once: from a zero state to find what each chunk adds, then a loop over the chunk borders, and once more from the true states.
That is 2 * CHUNK vectorized steps instead of L small ones. Every exponent is a sum of ``dt * A`` with ``A <= 0``, never a
difference, so nothing overflows however large dt is.

The backward pass is the same scan run in reverse for the adjoint of h, restarted from the saved border states; it is
written out (no autograd inside), because it runs inside a custom operator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cdzoo.ops.args import CHUNK, Gradients, ScanArgs

_FORWARD_BUDGET = 1 << 19  # elements of one state tensor; about the size at which CPU caches stop helping
_BACKWARD_BUDGET = 1 << 17  # smaller: 2 * CHUNK such tensors are alive at once


def unavailable() -> str | None:
    """Return None: this backend always works."""
    return None


def _softplus(raw: Tensor, enabled: bool) -> Tensor:
    return F.softplus(raw) if enabled else raw


@dataclass
class _Tile:
    """Rows r0:r1 of the flattened (direction, batch) axis and channels d0:d1; r1 - r0 is 1 unless all channels fit."""

    r0: int
    r1: int
    d0: int
    d1: int


def _tiles(rows: int, length: int, channels: int, state: int, budget: int) -> Iterator[_Tile]:
    chunks = -(-length // CHUNK)
    width = max(1, min(channels, budget // (chunks * state)))
    height = max(1, budget // (chunks * state * channels))
    for r0 in range(0, rows, height):
        for d0 in range(0, channels, width):
            yield _Tile(r0, min(rows, r0 + height), d0, min(channels, d0 + width))


def _steps(seq: Tensor) -> Tensor:
    """(R, L, F) -> (T, R, chunks, F): step-major, padded with zeros, which leave a state untouched as dt = 0."""
    rows, length, features = seq.shape
    steps = min(CHUNK, length)
    chunks = -(-length // steps)
    seq = F.pad(seq, (0, 0, 0, chunks * steps - length))
    return seq.view(rows, chunks, steps, features).permute(2, 0, 1, 3).contiguous()


def _unsteps(seq: Tensor, length: int) -> Tensor:
    """(T, R, chunks, F) -> (R, L, F): the inverse of :func:`_steps`."""
    steps, rows, chunks, features = seq.shape
    return seq.permute(1, 2, 0, 3).reshape(rows, chunks * steps, features)[:, :length]


class _Rows:
    """Views of the inputs as rows of the flattened (direction, batch) axis, in scan order."""

    def __init__(self, args: ScanArgs, index: Tensor) -> None:
        self.x, self.delta, self.A, self.B, self.C, _, self.bias = args
        self.index = index.long()
        self.inverse = torch.argsort(self.index, dim=1)
        self.batch = args.x.shape[0]

    def split(self, row: int) -> tuple[int, int]:
        return divmod(row, self.batch)

    def gather(self, source: str, tile: _Tile) -> Tensor:
        """Rows of ``x``, ``raw`` (delta plus bias), ``B`` or ``C`` in scan order: (R, L, channels or N)."""
        parts = []
        for row in range(tile.r0, tile.r1):
            k, b = self.split(row)
            if source == "x":
                part = self.x[b, :, tile.d0 : tile.d1]
            elif source == "raw":
                part = self.delta[k, b, :, tile.d0 : tile.d1]
                if self.bias is not None:
                    part = part + self.bias[k, tile.d0 : tile.d1]
            else:
                part = (self.B if source == "B" else self.C)[b, :, k]
            parts.append(part[self.index[k]])
        return torch.stack(parts)

    def gather_map(self, values: Tensor, tile: _Tile) -> Tensor:
        """Rows of a map (B, L, Dm) in scan order: (R, L, d)."""
        picks = [self.split(row) for row in range(tile.r0, tile.r1)]
        return torch.stack([values[b, :, tile.d0 : tile.d1][self.index[k]] for k, b in picks])

    def decay(self, tile: _Tile) -> Tensor:
        """A of each row, (R, 1, d, N)."""
        ks = [self.split(row)[0] for row in range(tile.r0, tile.r1)]
        return self.A[ks, tile.d0 : tile.d1].unsqueeze(1)


def _borders(local: Tensor, total: Tensor, reverse: bool = False) -> Tensor:
    """Chain chunks (R, chunks, d, N): the value entering each chunk, given what each adds and how much it lets through."""
    entering = torch.zeros_like(local)
    chunks = local.shape[1]
    order = range(chunks - 1, 0, -1) if reverse else range(chunks - 1)
    for c in order:
        step = c - 1 if reverse else c + 1
        torch.addcmul(local[:, c], total[:, c], entering[:, c], out=entering[:, step])
    return entering


def forward(args: ScanArgs, index: Tensor, delta_softplus: bool, save_states: bool) -> tuple[Tensor, Tensor]:
    """Scan K directions and sum them in place; shapes as in :mod:`cdzoo.ops.backends`."""
    x, A, D = args.x, args.A, args.D
    batch, length, channels = x.shape
    directions, state = A.shape[0], A.shape[2]
    chunks = -(-length // CHUNK)
    rows = _Rows(args, index)
    y = torch.zeros_like(x)
    states = x.new_empty((directions, batch, chunks, channels, state) if save_states else (0,))
    for tile in _tiles(directions * batch, length, channels, state, _FORWARD_BUDGET):
        decay = rows.decay(tile)
        dt = _softplus(rows.gather("raw", tile), delta_softplus)
        du = _steps(dt * rows.gather("x", tile)).unsqueeze(-1)
        dt = _steps(dt).unsqueeze(-1)  # (T, R, chunks, d, 1)
        b, c = _steps(rows.gather("B", tile)).unsqueeze(-2), _steps(rows.gather("C", tile)).unsqueeze(-1)
        h = x.new_zeros(*dt.shape[1:4], state)
        a = torch.empty_like(h)
        if chunks > 1:
            for t in range(dt.shape[0]):
                torch.mul(dt[t], decay, out=a)
                h.mul_(a.exp_()).addcmul_(du[t], b[t])
            h = _borders(h, torch.exp(dt.sum(0) * decay))
        if save_states:
            states.view(-1, *states.shape[2:])[tile.r0 : tile.r1, :, tile.d0 : tile.d1] = h
        out = torch.empty_like(dt)
        for t in range(dt.shape[0]):
            torch.mul(dt[t], decay, out=a)
            h.mul_(a.exp_()).addcmul_(du[t], b[t])
            torch.matmul(h, c[t], out=out[t])
        seq = _unsteps(out.squeeze(-1), length)
        for i, row in enumerate(range(tile.r0, tile.r1)):
            k, n = rows.split(row)
            y[n, :, tile.d0 : tile.d1] += seq[i][rows.inverse[k]]
    if D is not None:
        y += x * D.sum(0)
    return y, states


def backward(grad_y: Tensor, args: ScanArgs, index: Tensor, delta_softplus: bool, states: Tensor) -> Gradients:
    """Gradients of :func:`forward` with respect to x, delta, A, B, C, D and delta_bias, in that order."""
    x, delta, A, B, C, D, delta_bias = args
    batch, length, channels = x.shape
    directions, state = A.shape[0], A.shape[2]
    rows = _Rows(args, index)
    dx, ddelta = torch.zeros_like(x), torch.empty_like(delta)
    dA, dB, dC = torch.zeros_like(A), torch.zeros_like(B), torch.zeros_like(C)
    flat_states = states.view(-1, *states.shape[2:])
    for tile in _tiles(directions * batch, length, channels, state, _BACKWARD_BUDGET):
        raw, u, gy_seq = rows.gather("raw", tile), rows.gather("x", tile), rows.gather_map(grad_y, tile)
        dt_seq = _softplus(raw, delta_softplus)
        grads = _tile_backward(
            _steps(gy_seq),
            _steps(dt_seq),
            _steps(dt_seq * u),
            _steps(rows.gather("B", tile)),
            _steps(rows.gather("C", tile)),
            rows.decay(tile),
            flat_states[tile.r0 : tile.r1, :, tile.d0 : tile.d1],
        )
        g_dt, g_du, g_b, g_c = (_unsteps(g, length) for g in grads[:4])
        g_x, g_raw = g_du * dt_seq, g_dt + g_du * u
        if delta_softplus:
            g_raw = g_raw * torch.sigmoid(raw)
        for i, row in enumerate(range(tile.r0, tile.r1)):
            (k, n), back = rows.split(row), rows.inverse[rows.split(row)[0]]
            dx[n, :, tile.d0 : tile.d1] += g_x[i][back]
            ddelta[k, n, :, tile.d0 : tile.d1] = g_raw[i][back]
            dB[n, :, k] += g_b[i][back]
            dC[n, :, k] += g_c[i][back]
            dA[k, tile.d0 : tile.d1] += grads[4][i]
    dD = None
    if D is not None:
        dx += grad_y * D.sum(0)
        dD = (grad_y * x).sum((0, 1)).expand(directions, channels).clone()
    return dx, ddelta, dA, dB, dC, dD, None if delta_bias is None else ddelta.sum((1, 2))


def _tile_backward(
    gy: Tensor, dt: Tensor, du: Tensor, b: Tensor, c: Tensor, decay: Tensor, start: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Reverse scan of one tile.

    Args:
        gy: gradient of the output, (T, R, chunks, d); dt and du = dt * u have the same shape.
        dt: step sizes.
        du: step sizes times inputs.
        b: input projections (T, R, chunks, N).
        c: output projections, same shape.
        decay: A of each row, (R, 1, d, N).
        start: states entering each chunk, (R, chunks, d, N).

    Returns:
        Gradients of dt (through the decay only), du, b, c in their own shapes and of A as (R, d, N).
    """
    steps = dt.shape[0]
    # States and decays of a chunk are kept: two tensors of CHUNK * budget elements, whatever the size of the map.
    h = start.new_empty(steps + 1, *start.shape)
    a = start.new_empty(steps, *start.shape)
    h[0] = start
    for t in range(steps):
        torch.mul(dt[t].unsqueeze(-1), decay, out=a[t])
        torch.mul(h[t], a[t].exp_(), out=h[t + 1])
        h[t + 1].addcmul_(du[t].unsqueeze(-1), b[t].unsqueeze(-2))
    carry = torch.zeros_like(start)
    if start.shape[1] > 1:
        for t in range(steps - 1, -1, -1):
            carry.addcmul_(gy[t].unsqueeze(-1), c[t].unsqueeze(-2)).mul_(a[t])
        carry = _borders(carry, torch.exp(dt.sum(0).unsqueeze(-1) * decay), reverse=True)
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
        g_dt[t] = through.mul_(decay).sum(-1)
    return g_dt, g_du, g_b, g_c, g_a.sum(1)
