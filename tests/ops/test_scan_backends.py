"""Each fast backend that runs here against `reference` in float64; where none was compiled only the last tests are left."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_cases import NAMES, flat, map_problem, module_of, usable_backends

from cdzoo.ops import list_scan_orders, scan_cpu, scan_index, scan_reference
from cdzoo.ops.orders import num_directions
from cdzoo.ops.selfcheck import BACKWARD_TOLERANCE, FORWARD_TOLERANCE, relative_error

backends = pytest.mark.parametrize("name", usable_backends() or [pytest.param("", marks=pytest.mark.skip("no native library"))])


def compare(name, tensors, order="cross", softplus=True):
    height, width = tensors[0].shape[1:3]
    index, inputs = scan_index(order, height, width), flat(tensors)
    grad = torch.randn_like(inputs[0])
    exact = [None if t is None else t.double() for t in inputs]
    y, states = scan_reference.forward(*exact, index, softplus, True)
    grads = scan_reference.backward(grad.double(), *exact, index, softplus, states)
    with module_of(name) as module:
        own_y, own_states = module.forward(*inputs, index, softplus, True)
        own_grads = module.backward(grad, *inputs, index, softplus, own_states)
    assert relative_error(own_y, y) <= FORWARD_TOLERANCE
    assert own_states.shape == states.shape and own_states.dtype == torch.float32
    assert states.shape[2] == 1 or relative_error(own_states, states) <= BACKWARD_TOLERANCE  # they serve the gradients
    for label, own, right in zip(NAMES, own_grads, grads, strict=True):
        assert (own is None) == (right is None), label
        # Where a gradient vanishes exactly (A with one step) there is nothing to be relative to.
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
@settings(max_examples=12, deadline=None, derandomize=True)
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
    """4,096 steps that forget almost nothing: errors of the decay add up here if anywhere."""
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
    inputs[1] = inputs[1] + steps
    with module_of(name) as module:
        y, states = module.forward(*inputs, index, True, True)
        grads = module.backward(torch.ones_like(y), *inputs, index, True, states)
    assert all(bool(torch.isfinite(t).all()) for t in (y, states, *grads))


@backends
def test_a_nan_is_not_swallowed(name):
    for place in (0, 1):
        inputs, index = flat(map_problem(1, 3, 3, 5, 4)), scan_index("cross", 3, 3)
        inputs[place][..., 4, 2] = float("nan")
        with module_of(name) as module:
            y = module.forward(*inputs, index, True, False)[0]
        assert bool(torch.isnan(y[..., 2]).any()) and not bool(torch.isnan(y[..., [0, 1, 3, 4]]).any())


@backends
@pytest.mark.parametrize("exponent", [125.9, 126.1, 5000.0])
def test_one_steep_step_among_gentle_ones(name, exponent):
    """Exponents beyond 126 are held; a chunk of steps is computed the other way if one channel has one."""
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
        monkeypatch.setattr(scan_cpu, "_team", lambda: None)
    elif scan_cpu._team() is None:
        pytest.skip("this PyTorch has no OpenMP to share")
    inputs, index = flat(map_problem(*size)), scan_index("cross", *size[1:3])
    grad = torch.randn_like(inputs[0])
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 7, 7):
            torch.set_num_threads(threads)
            with module_of(name) as module:
                y, states = module.forward(*inputs, index, True, True)
                results.append([y, states, *module.backward(grad, *inputs, index, True, states)])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@backends
def test_empty_batch(name):
    inputs, index = flat(map_problem(0, 3, 3, 5, 2)), scan_index("cross", 3, 3)
    with module_of(name) as module:
        y, states = module.forward(*inputs, index, True, True)
        grads = module.backward(torch.zeros_like(y), *inputs, index, True, states)
    assert y.shape == (0, 9, 5) and all(not g.any() for g in grads)


@backends
def test_wrong_tensors_are_refused_not_read(name):
    inputs, index = flat(map_problem(1, 3, 3, 5, 2)), scan_index("cross", 3, 3)
    with module_of(name) as module:
        with pytest.raises(ValueError, match="float32"):
            module.forward(inputs[0].double(), *inputs[1:], index, True, False)
        with pytest.raises(ValueError, match="contiguous"):
            module.forward(inputs[0].transpose(0, 1), *inputs[1:], index, True, False)
        with pytest.raises(ValueError, match="do not fit"):
            module.forward(inputs[0], inputs[1][:2].contiguous(), *inputs[2:], index, True, False)
