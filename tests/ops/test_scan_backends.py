"""Each available fast backend compared with `reference` in float64; only the last tests run if none is compiled."""

import ctypes
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_cases import NAMES, flat, map_problem, module_of, usable_backends

from cdzoo.ops import list_scan_orders, scan_cpu, scan_index, scan_reference
from cdzoo.ops.args import ScanArgs
from cdzoo.ops.orders import num_directions
from cdzoo.ops.selfcheck import BACKWARD_TOLERANCE, FORWARD_TOLERANCE, relative_error

backends = pytest.mark.parametrize("name", usable_backends() or [pytest.param("", marks=pytest.mark.skip("no native library"))])


def compare(name, tensors, order="cross", softplus=True):
    height, width = tensors[0].shape[1:3]
    index, inputs = scan_index(order, height, width), flat(tensors)
    grad = torch.randn_like(inputs[0])
    exact = ScanArgs(*(None if t is None else t.double() for t in inputs))
    y, states = scan_reference.forward(exact, index, softplus, True)
    grads = scan_reference.backward(grad.double(), exact, index, softplus, states)
    with module_of(name) as module:
        own_y, own_states = module.forward(inputs, index, softplus, True)
        own_grads = module.backward(grad, inputs, index, softplus, own_states)
    assert relative_error(own_y, y) <= FORWARD_TOLERANCE
    assert own_states.shape == states.shape and own_states.dtype == torch.float32
    assert states.shape[2] == 1 or relative_error(own_states, states) <= BACKWARD_TOLERANCE  # needed for the gradients
    for label, own, right in zip(NAMES, own_grads, grads, strict=True):
        assert (own is None) == (right is None), label
        # A gradient that is exactly zero (A with one step) has no relative error.
        if own is not None and right.abs().max() > 0:
            assert relative_error(own, right) <= BACKWARD_TOLERANCE, label


@backends
@pytest.mark.parametrize("state", [1, 4, 7, 16])
@pytest.mark.parametrize("size", [(1, 1, 1, 1), (2, 9, 11, 19), (1, 5, 1, 40), (3, 8, 8, 16), (2, 12, 11, 100)])
def test_agrees_with_reference(name, state, size):
    compare(name, map_problem(*size, state, decay=float(state)))


@backends
@pytest.mark.parametrize("order", list_scan_orders())
@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("skip", [True, False])
def test_agrees_in_every_mode(name, order, softplus, skip):
    tensors = map_problem(2, 7, 10, 24, 4, directions=num_directions(order))
    tensors[1] = tensors[1].detach().abs() * 0.5
    compare(name, tensors if skip else [*tensors[:5], None, None], order, softplus)


@backends
@settings(max_examples=12, derandomize=True)
@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12), st.integers(1, 50)),
    state=st.integers(1, 20),
    steps=st.sampled_from([-12.0, -6.0, 0.0, 4.0]),
    decay=st.sampled_from([0.0, 1e-3, 1.0, 50.0, 1e4]),
    seed=st.integers(0, 1000),
)
def test_agrees_over_shapes_and_ranges(name, size, state, steps, decay, seed):
    tensors = map_problem(*size, state, decay=decay, seed=seed)
    with torch.no_grad():
        tensors[1] += steps
    compare(name, tensors)


@backends
def test_long_memory_does_not_drift(name):
    """4,096 steps with decays close to 1, over which rounding errors of the decay accumulate."""
    tensors = map_problem(1, 64, 64, 16, 2, decay=1e-3)
    with torch.no_grad():
        tensors[1] -= 4
    compare(name, tensors)


@backends
@pytest.mark.parametrize("steps", [-100.0, 0.0, 1e3])
@pytest.mark.parametrize("decay", [0.0, 1.0, 1e4])
def test_large_values_stay_finite(name, steps, decay):
    tensors = map_problem(1, 9, 9, 20, 4, scale=1e4, decay=decay)
    inputs, index = flat(tensors), scan_index("cross", 9, 9)
    inputs = inputs._replace(delta=inputs.delta + steps)
    with module_of(name) as module:
        y, states = module.forward(inputs, index, True, True)
        grads = module.backward(torch.ones_like(y), inputs, index, True, states)
    assert all(bool(torch.isfinite(t).all()) for t in (y, states, *grads))


@backends
@pytest.mark.parametrize("exponent", [125.9, 126.1, 5000.0])
def test_single_large_step_among_small_ones(name, exponent):
    """Exponents beyond 126 are clamped; a chunk of steps takes the slower path if any channel has one."""
    tensors = map_problem(1, 10, 20, 40, 16)
    with torch.no_grad():
        tensors[1].abs_()
        tensors[2][:, 21, 3] = -1.0
        tensors[1][:, 0, 5, 0, 21] = exponent / 1.4426950408889634
        tensors[6].zero_()
    compare(name, tensors, softplus=False)


@backends
@pytest.mark.parametrize("openmp", [True, False])
@pytest.mark.parametrize("size", [(2, 24, 24, 96, 16), (1, 64, 64, 16, 4)])
def test_results_do_not_depend_on_threads(name, size, openmp, monkeypatch):
    """Bit for bit; the second size has fewer blocks of channels than threads, so directions become tasks."""
    if not openmp:
        monkeypatch.setattr(scan_cpu, "_region", lambda: None)
    elif scan_cpu._region() is None:
        pytest.skip("this PyTorch has no OpenMP to share")
    inputs, index = flat(map_problem(*size)), scan_index("cross", *size[1:3])
    grad = torch.randn_like(inputs[0])
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 7, 7):
            torch.set_num_threads(threads)
            with module_of(name) as module:
                y, states = module.forward(inputs, index, True, True)
                results.append([y, states, *module.backward(grad, inputs, index, True, states)])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@backends
def test_kernel_runs_on_any_number_of_threads(name, monkeypatch):
    """A single thread does the work of all requested threads."""
    asked = []

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    def region(function, data, threads, flags):
        asked.append((threads, flags))
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(function)(data)

    inputs, index = flat(map_problem(2, 24, 24, 96, 16)), scan_index("cross", 24, 24)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with module_of(name) as module:
            alone = module.forward(inputs, index, True, False)[0]
            torch.set_num_threads(3)
            monkeypatch.setattr(scan_cpu, "_region", lambda: ctypes.cast(region, ctypes.c_void_p).value)
            together = module.forward(inputs, index, True, False)[0]
    finally:
        torch.set_num_threads(before)
    assert asked == [(3, 0)] and torch.equal(alone, together)


@pytest.mark.skipif("OpenMP" not in torch.__config__.parallel_info() or sys.platform != "linux", reason="no OpenMP to share")
def test_kernel_uses_the_threads_of_torch():
    assert scan_cpu._region() is not None


@pytest.mark.skipif(not hasattr(os, "fork") or not usable_backends(), reason="no fork, or no native library")
def test_forked_process_does_not_wait_for_threads_of_its_parent():
    """PyTorch's own operators would wait, so the comparison does not use them."""
    lines = [
        "import os, sys, torch",
        "from cdzoo.ops import set_scan_backend, ss2d_scan",
        "torch.set_num_threads(2)",
        "set_scan_backend('cpu')",
        "shapes = [(2, 32, 32, 96), (4, 2, 32, 32, 96), (4, 96, 16), (2, 32, 32, 4, 16), (2, 32, 32, 4, 16)]",
        "tensors = [-torch.rand(shape) for shape in shapes]",
        "expected = ss2d_scan(*tensors)",
        "child = os.fork()",
        "if child == 0: os._exit(ss2d_scan(*tensors).numpy().tobytes() != expected.numpy().tobytes())",
        "sys.exit(os.waitpid(child, 0)[1])",
    ]
    assert subprocess.run([sys.executable, "-c", "\n".join(lines)], timeout=120).returncode == 0


@backends
def test_the_exponential_is_right_over_its_whole_range(name):
    """Two steps, only the first with an input, so that the second output is the decay alone."""
    channels = 4096
    exponents = -torch.linspace(0, 86, channels, dtype=torch.float64)  # 2^-124, above the smallest normal numbers
    for step in (1.0, 3.0):  # with 3, some exponents of a block exceed the limit of the fast path
        A = (exponents / step).float().view(1, channels, 1)
        x, delta, ones = torch.ones(1, 2, channels), torch.full((1, 1, 2, channels), step), torch.ones(1, 2, 1, 1)
        B = torch.tensor([1 / step, 0.0]).view(1, 2, 1, 1)
        with module_of(name) as module:
            y = module.forward(ScanArgs(x, delta, A, B, ones), torch.tensor([[0, 1]], dtype=torch.int32), False, False)[0]
        first, second = y[0].double()
        exact = (A.double().flatten() * step).exp() * first
        # The exponent is a float: half a unit of its last place is 4e-6 at 86.
        allowed = 2e-7 + exponents.abs() * 2.0**-23
        assert (((second - exact) / exact).abs() <= allowed).all()


@backends
def test_invalid_tensors_raise_before_they_are_read(name):
    inputs, index = flat(map_problem(1, 3, 3, 5, 2)), scan_index("cross", 3, 3)
    with module_of(name) as module:
        with pytest.raises(ValueError, match="float32"):
            module.forward(inputs._replace(x=inputs.x.double()), index, True, False)
        with pytest.raises(ValueError, match="contiguous"):
            module.forward(inputs._replace(x=inputs.x.mT.contiguous().mT), index, True, False)
        with pytest.raises(ValueError, match=r"delta must be \(K, B, L, Dm\)"):
            module.forward(inputs._replace(delta=inputs.delta[:2].contiguous()), index, True, False)
