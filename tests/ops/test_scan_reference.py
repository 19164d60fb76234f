import pytest
import torch
import torch.nn.functional as F
from scan_cases import NAMES, map_problem, step_by_step

from cdzoo.ops import list_scan_orders, scan_reference, selective_scan, ss2d_scan
from cdzoo.ops.orders import num_directions
from cdzoo.ops.selfcheck import relative_error

SIZES = [(2, 9, 11, 3, 2), (1, 1, 1, 1, 1), (1, 8, 8, 2, 1), (1, 13, 10, 4, 4)]  # 1, 64, 99 and 130 steps: about chunk borders


@pytest.mark.parametrize("order", list_scan_orders())
@pytest.mark.parametrize("size", SIZES)
def test_equals_the_recurrence_step_by_step(order, size):
    tensors = map_problem(*size, dtype=torch.float64, directions=num_directions(order))
    y, expected = ss2d_scan(*tensors, order=order), step_by_step(*tensors, order=order)
    assert relative_error(y, expected) < 1e-12
    grad = torch.randn_like(y)
    pairs = zip(torch.autograd.grad(y, tensors, grad), torch.autograd.grad(expected, tensors, grad), strict=True)
    assert {n: e for n, (a, b) in zip(NAMES, pairs, strict=True) if (e := relative_error(a, b)) > 1e-11} == {}


def test_small_tiles_give_the_same(monkeypatch):
    tensors = map_problem(2, 9, 11, 5, 3, dtype=torch.float64)
    grad = torch.randn(2, 9, 11, 5, dtype=torch.float64)
    whole = [ss2d_scan(*tensors), *torch.autograd.grad(ss2d_scan(*tensors), tensors, grad)]
    monkeypatch.setattr(scan_reference, "_FORWARD_BUDGET", 20)
    monkeypatch.setattr(scan_reference, "_BACKWARD_BUDGET", 13)
    tiled = [ss2d_scan(*tensors), *torch.autograd.grad(ss2d_scan(*tensors), tensors, grad)]
    assert all(relative_error(a, b) < 1e-12 for a, b in zip(tiled, whole, strict=True))


@pytest.mark.parametrize("softplus", [True, False])
def test_gradcheck(softplus):
    tensors = map_problem(1, 2, 3, 2, 2, dtype=torch.float64)
    tensors[1] = (tensors[1].detach().abs() * 0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda *t: ss2d_scan(*t, delta_softplus=softplus), tensors)


def test_gradcheck_across_chunks():
    tensors = map_problem(1, 10, 7, 1, 1, dtype=torch.float64)
    assert torch.autograd.gradcheck(ss2d_scan, tensors, fast_mode=True)


def test_gradcheck_of_sequences():
    u, delta, z = (torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(3))
    A = (-torch.rand(4, 2, dtype=torch.float64)).requires_grad_()
    B, C = (torch.randn(2, 2, 2, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    D, bias = (torch.randn(4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda *t: selective_scan(*t, True), (u, delta, A, B, C, D, z, bias))


@pytest.mark.parametrize("form", ["shared", "grouped", "constant", "mixed"])
def test_sequences_follow_mamba_ssm(form):
    batch, channels, length, state, groups = 2, 6, 70, 3, 2
    u, delta, z = (torch.randn(batch, channels, length, dtype=torch.float64) for _ in range(3))
    A, D, bias = -torch.rand(channels, state, dtype=torch.float64), *torch.randn(2, channels, dtype=torch.float64)
    shapes = {"shared": (batch, state, length), "grouped": (batch, groups, state, length), "constant": (channels, state)}
    B = torch.randn(shapes["constant" if form == "mixed" else form], dtype=torch.float64)
    C = torch.randn(shapes["grouped" if form == "mixed" else form], dtype=torch.float64)

    def at(t, step):  # (B, D, N) of one step, whichever the form
        if t.dim() == 2:
            return t.expand(batch, -1, -1)
        t = t[:, None] if t.dim() == 3 else t
        return t[..., step].repeat_interleave(channels // t.shape[1], 1)

    h, out = torch.zeros(batch, channels, state, dtype=torch.float64), []
    dt = F.softplus(delta + bias[:, None])
    for t in range(length):
        h = torch.exp(dt[:, :, t, None] * A) * h + (dt * u)[:, :, t, None] * at(B, t)
        out.append((h * at(C, t)).sum(-1) + D * u[:, :, t])
    expected = torch.stack(out, 2) * F.silu(z)
    y = selective_scan(u, delta, A, B, C, D, z, bias, True)
    assert relative_error(y, expected) < 1e-12


@pytest.mark.parametrize("dt", [1e-4, 1.0, 1e3])
@pytest.mark.parametrize("decay", [0.0, 1.0, 1e4])
def test_nothing_overflows(dt, decay):
    x, delta, A, B, C, D, _ = map_problem(1, 9, 9, 4, 2, scale=1e4)
    steps = torch.full_like(delta, dt).requires_grad_()
    rates = torch.full_like(A, -decay).requires_grad_()
    y = ss2d_scan(x, steps, rates, B, C, D, delta_softplus=False)
    grads = torch.autograd.grad(y.square().mean().sqrt(), (x, steps, rates, B, C, D))
    assert all(bool(torch.isfinite(t).all()) for t in (y, *grads))
