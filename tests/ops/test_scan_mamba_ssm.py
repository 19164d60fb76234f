"""The `mamba_ssm` backend with a fake of its compiled extension that checks its arguments as the extension does."""

import pytest
import torch
import torch.nn.functional as F
from scan_cases import NAMES, flat, map_problem

from cdzoo.ops import list_scan_orders, scan_index, scan_mamba_ssm, scan_reference
from cdzoo.ops.args import ScanArgs
from cdzoo.ops.orders import num_directions
from cdzoo.ops.selfcheck import relative_error


class StandIn:
    """`selective_scan_cuda` of mamba-ssm 2: the positional arguments, layouts and results of `fwd` and `bwd`.

    Sequences are (B, D, L), B and C (B, G, N, L) with D / G channels per group, weights fp32. `fwd` returns the output, the
    states at the ends of chunks of 2,048 steps as (B, D, chunks, 2 N), and the gated output if there is a gate.
    """

    CHUNK = 2048

    def __init__(self):
        self.calls = []

    def _scan(self, u, delta, A, B, C, D, bias, softplus):
        batch, channels, length = u.shape
        dt = delta if bias is None else delta + bias[:, None]
        dt = F.softplus(dt) if softplus else dt
        B, C = (t.repeat_interleave(channels // t.shape[1], 1) for t in (B, C))  # (B, D, N, L)
        h, outputs = u.new_zeros(batch, channels, A.shape[1]), []
        for t in range(length):
            h = torch.exp(dt[:, :, t, None] * A) * h + (dt * u)[:, :, t, None] * B[..., t]
            outputs.append((h * C[..., t]).sum(-1))
        y = torch.stack(outputs, 2)
        return (y if D is None else y + D[:, None] * u), h

    def _check(self, u, delta, A, B, C, D, z, bias):
        batch, channels, length = u.shape
        state, groups = A.shape[1], B.shape[1]
        assert z is None and delta.shape == u.shape and A.shape == (channels, state) and channels % groups == 0
        assert B.shape == C.shape == (batch, groups, state, length)
        assert u.dtype == delta.dtype == B.dtype == C.dtype
        assert all(w is None or w.shape == (channels,) for w in (D, bias))
        assert all(w is None or w.dtype == torch.float32 for w in (A, D, bias))
        # The kernel reads the last axis of sequences and projections with stride 1.
        assert all(t.stride(-1) == 1 or t.size(-1) == 1 for t in (u, delta, B, C))

    def fwd(self, u, delta, A, B, C, D, z, delta_bias, delta_softplus):
        self._check(u, delta, A, B, C, D, z, delta_bias)
        self.calls.append("fwd")
        y, h = self._scan(u, delta, A, B, C, D, delta_bias, delta_softplus)
        chunks = -(-u.shape[2] // self.CHUNK)
        return [y, torch.cat([torch.ones_like(h), h], 2)[:, :, None].expand(-1, -1, chunks, -1)]

    def bwd(self, u, delta, A, B, C, D, z, delta_bias, dout, x, out, dz, delta_softplus, recompute_out_z):
        self._check(u, delta, A, B, C, D, z, delta_bias)
        self.calls.append("bwd")
        assert out is None and dz is None and recompute_out_z is False
        assert dout.shape == u.shape and dout.stride(-1) == 1 and dout.dtype == u.dtype
        assert x.shape == (*u.shape[:2], -(-u.shape[2] // self.CHUNK), 2 * A.shape[1])
        given = [t if t is None else t.detach().requires_grad_() for t in (u, delta, A, B, C, D, delta_bias)]
        with torch.enable_grad():
            y, _ = self._scan(*given, delta_softplus)
            grads = iter(torch.autograd.grad(y, [t for t in given if t is not None], dout))
        # Gradients of B and C are fp32 whatever their type; absent ones are undefined tensors, None in Python.
        return [None if t is None else next(grads) for t in given]


@pytest.fixture
def extension(monkeypatch):
    stand_in = StandIn()
    monkeypatch.setattr(scan_mamba_ssm, "_extension", lambda: stand_in)
    return stand_in


@pytest.mark.parametrize("order", list_scan_orders())
@pytest.mark.parametrize("everything", [True, False])
@pytest.mark.parametrize("size", [(2, 3, 5, 6, 4), (1, 1, 1, 1, 1), (1, 9, 8, 3, 1)])
def test_agrees_with_reference(extension, size, order, everything):
    batch, height, width, channels, state = size
    tensors = map_problem(batch, height, width, channels, state, directions=num_directions(order))
    args, index = flat(tensors), scan_index(order, height, width)
    if not everything:
        args = args._replace(delta=args.delta.abs() * 0.5, D=None, delta_bias=None)
    grad = torch.randn_like(args.x)
    exact = ScanArgs(*(None if t is None else t.double() for t in args))
    y, states = scan_reference.forward(exact, index, everything, True)
    expected = scan_reference.backward(grad.double(), exact, index, everything, states)
    own_y, own_states = scan_mamba_ssm.forward(args, index, everything, True)
    assert relative_error(own_y, y) < 1e-5
    assert own_states.shape == states.shape and own_states.isnan().all()  # only the extension itself can continue from its states
    grads = scan_mamba_ssm.backward(grad, args, index, everything, own_states)
    for name, own, right in zip(NAMES, grads, expected, strict=True):
        assert (own is None) == (right is None), name
        if right is not None and right.abs().max() > 0:
            assert relative_error(own, right) < 1e-4, name
    assert extension.calls == ["fwd", "fwd", "bwd"]


def test_failing_extension_is_listed_as_unusable(monkeypatch):
    def broken():
        raise ImportError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr(scan_mamba_ssm, "_extension", broken)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", lambda *size, device=None: torch.zeros(*size))
    scan_mamba_ssm.unavailable.cache_clear()
    try:
        assert "libcudart.so.12" in scan_mamba_ssm.unavailable()
    finally:
        scan_mamba_ssm.unavailable.cache_clear()
