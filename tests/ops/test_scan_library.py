"""The operators as PyTorch sees them: schema, autograd, compile, export, autocast, dtypes and layouts."""

import pytest
import torch
from scan_cases import map_problem

from cdzoo.ops import selective_scan, ss2d_scan
from cdzoo.ops.library import selective_scan_op, ss2d_scan_op
from cdzoo.ops.selfcheck import relative_error


def sequence_problem(dtype=torch.float32):
    u, delta = (torch.randn(2, 6, 9, dtype=dtype, requires_grad=True) for _ in range(2))
    A = (-torch.rand(6, 3, dtype=dtype)).requires_grad_()
    B, C = (torch.randn(2, 2, 3, 9, dtype=dtype, requires_grad=True) for _ in range(2))
    D, bias = (torch.randn(6, dtype=dtype, requires_grad=True) for _ in range(2))
    return [u, delta, A, B, C, D, bias]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("save", [True, False])
def test_opcheck_maps(dtype, save):
    tensors = map_problem(2, 3, 5, 6, 2, dtype=dtype)
    torch.library.opcheck(ss2d_scan_op, (*tensors, True, "cross", save))
    torch.library.opcheck(ss2d_scan_op, (*tensors[:5], None, None, True, "corners", save))


def test_opcheck_sequences():
    torch.library.opcheck(selective_scan_op, (*sequence_problem(), True, True))
    torch.library.opcheck(selective_scan_op, (*sequence_problem()[:5], None, None, False, True))


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.A = torch.nn.Parameter(-torch.rand(4, 6, 2))
        self.project = torch.nn.Linear(6, 16)

    def forward(self, x):
        B, C = self.project(x).unflatten(-1, (4, 4)).split(2, -1)  # strided views
        return ss2d_scan(torch.tanh(x), x.expand(4, *x.shape), self.A, B, C) * 2


def test_compile_fullgraph_forward_and_backward():
    block, x = Block(), torch.randn(2, 5, 7, 6)
    expected = block(x)
    wanted = torch.autograd.grad(expected.sum(), list(block.parameters()))
    y = torch.compile(block, fullgraph=True, backend="aot_eager")(x)
    grads = torch.autograd.grad(y.sum(), list(block.parameters()))
    assert relative_error(y, expected) < 1e-6
    assert all(relative_error(a, b) < 1e-5 for a, b in zip(grads, wanted, strict=True))


def test_compile_sequences_fullgraph():
    *tensors, D, bias = sequence_problem()
    compiled = torch.compile(selective_scan, fullgraph=True, backend="aot_eager")
    assert relative_error(compiled(*tensors, D, None, bias, True), selective_scan(*tensors, D, None, bias, True)) < 1e-6


def test_export_keeps_one_operator_and_free_sizes():
    block = Block().eval()
    sizes = {"x": {0: torch.export.Dim("b", min=1, max=8), 1: torch.export.Dim("h", min=2, max=64)}}
    program = torch.export.export(block, (torch.randn(2, 5, 7, 6),), dynamic_shapes=sizes)
    assert [n for n in program.graph.nodes if n.target is torch.ops.cdzoo.ss2d_scan.default].__len__() == 1
    x = torch.randn(3, 9, 7, 6)
    assert relative_error(program.module()(x), block(x)) < 1e-6


def test_states_are_saved_only_for_gradients(monkeypatch):
    seen = []
    import cdzoo.ops.scan as scan

    monkeypatch.setattr(scan, "ss2d_scan_op", lambda *a: seen.append(a[-1]) or ss2d_scan_op(*a))
    tensors = map_problem(1, 3, 3, 2, 1)
    ss2d_scan(*tensors)
    with torch.no_grad():
        ss2d_scan(*tensors)
    ss2d_scan(*(t.detach() for t in tensors))
    assert seen == [True, False, False]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_maps_are_computed_in_fp32(dtype):
    tensors = [t.detach().to(dtype).requires_grad_() for t in map_problem(2, 9, 9, 6, 4)]
    full = [t.detach().float().requires_grad_() for t in tensors]
    y, expected = ss2d_scan(*tensors), ss2d_scan(*full)
    assert y.dtype == dtype and torch.equal(y, expected.to(dtype))  # one rounding, at the very end
    grads = torch.autograd.grad(y.float().sum(), tensors)
    wanted = torch.autograd.grad(expected.sum(), full)
    assert all(g.dtype == dtype and torch.equal(g, w.to(dtype)) for g, w in zip(grads, wanted, strict=True))


def test_autocast_does_not_affect_the_scan():
    tensors = [t.detach() for t in map_problem(1, 9, 9, 6, 4)]
    from cdzoo.ops import set_scan_backend

    for name in ("reference", None):
        with set_scan_backend(name):
            plain = ss2d_scan(*tensors)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                assert torch.equal(ss2d_scan(*tensors), plain)


def test_channels_first_is_the_same_scan():
    x, delta, A, B, C, D, bias = (t.detach() for t in map_problem(2, 4, 5, 6, 3))
    first = (x.permute(0, 3, 1, 2), delta.permute(0, 1, 4, 2, 3), A, *(t.permute(0, 3, 4, 1, 2) for t in (B, C)), D, bias)
    y = ss2d_scan(*(t.contiguous() for t in first), channels_last=False)
    assert torch.equal(y.permute(0, 2, 3, 1), ss2d_scan(x, delta, A, B, C, D, bias))


@pytest.mark.parametrize(
    ("place", "shape", "words"),
    [(1, (3, 1, 4, 4, 2), r"delta must be \(K, B, H, W, Dm\)"), (3, (1, 4, 4, 4, 9), "B must be"), (5, (4, 3), "D must be")],
)
def test_invalid_shapes_raise_with_the_argument(place, shape, words):
    tensors = [t.detach() for t in map_problem(1, 4, 4, 2, 2)]
    tensors[place] = torch.zeros(shape)
    with pytest.raises(ValueError, match=words):
        ss2d_scan(*tensors)


def test_sequence_errors():
    u, A = torch.zeros(1, 4, 3), -torch.ones(4, 2)
    with pytest.raises(ValueError, match="3 groups"):
        selective_scan(u, u, A, torch.zeros(1, 3, 2, 3), torch.zeros(1, 2, 3))
    with pytest.raises(ValueError, match="A must be real"):
        selective_scan(u, u, A.to(torch.complex64), torch.zeros(1, 2, 3), torch.zeros(1, 2, 3))
