"""NaN, overflow and empty maps: every backend shows what `reference` shows."""

import math

import numpy as np
import pytest
import torch
from scan_cases import NAMES, flat, map_problem, module_of, usable_backends

from cdzoo.ops import scan_index, scan_reference, selective_scan, set_scan_backend, ss2d_scan

names = usable_backends()
backends = pytest.mark.parametrize("name", names or [pytest.param("", marks=pytest.mark.skip("no native library"))])
NANS = torch.from_numpy(np.array([0x7FC00000, 0x7FFFFFFF, 0xFFC00001], np.uint32).view(np.float32))  # all of their bits count


def both(name, args, index, softplus=True):
    """Return output, states and gradients of a backend and of `reference`, with a gradient of ones."""
    results = []
    for module in (None, scan_reference):
        with module_of(name) as chosen:
            run = module or chosen
            y, states = run.forward(args, index, softplus, True)
            results.append([y, states, *run.backward(torch.ones_like(y), args, index, softplus, states)])
    return results


@backends
@pytest.mark.parametrize("state", [1, 4, 7, 16])
@pytest.mark.parametrize("place", NAMES)
def test_nan_in_gives_nan_out(name, state, place):
    index = scan_index("cross", 9, 10)
    for number, softplus in enumerate((True, False, True) if place == "A" else (True,)):
        args = flat(map_problem(2, 9, 10, 19, state))
        args = args if softplus else args._replace(delta=args.delta.abs() * 0.5, delta_bias=args.delta_bias.abs())
        values = getattr(args, place).view(-1)
        values[(0, len(values) // 2, -1)[number]] = NANS[number]
        own, expected = both(name, args, index, softplus)
        assert own[0].isnan().any() and torch.equal(own[0].isnan(), expected[0].isnan())
        for label, one, right in zip(("states", *NAMES), own[1:], expected[1:], strict=True):
            assert bool(one.isnan().any()) == bool(right.isnan().any()), label


@backends
@pytest.mark.parametrize("exponent", [127.5, 129.0, 300.0, 1e30, math.inf])
def test_growth_beyond_float32_is_not_finite(name, exponent):
    args, index = flat(map_problem(1, 3, 3, 5, 4)), scan_index("cross", 3, 3)
    args.delta[:] = 1.0
    args.A[1, 2, 3] = exponent
    own, expected = both(name, args, index, softplus=False)
    assert torch.equal(own[0].isfinite(), expected[0].isfinite()) and not own[0][..., 2].isfinite().all()
    assert own[0][..., [0, 1, 3, 4]].isfinite().all()


@pytest.mark.parametrize("backend", ["reference", *(["cpu"] if names else [])])
@pytest.mark.parametrize("sizes", [(0, 4, 4, 5), (2, 0, 4, 5), (2, 4, 0, 5), (2, 4, 4, 0), (0, 0, 0, 0)])
def test_empty_maps_give_empty_results_and_gradients_of_zero(backend, sizes):
    batch, height, width, channels = sizes
    maps = map_problem(*sizes, 3)
    length = height * width
    shapes = [(batch, channels, length)] * 2 + [(channels, 3)] + [(batch, 3, length)] * 2 + [(channels,)]
    sequences = [torch.randn(shape, requires_grad=True) for shape in shapes]
    with set_scan_backend(backend):
        for scan, tensors in ((ss2d_scan, maps), (selective_scan, sequences)):
            y = scan(*tensors)
            y.sum().backward()
            assert y.shape == tensors[0].shape and not any(t.grad.any() for t in tensors)


@backends
def test_the_kernel_itself_refuses_what_it_cannot_scan(name):
    args, index = flat(map_problem(1, 3, 3, 5, 2)), scan_index("cross", 3, 3)
    empty = flat(map_problem(0, 3, 3, 5, 2))
    with module_of(name) as module:
        states = module.forward(args, index, True, True)[1]
        for wrong in (-1, 9, 2**31 - 1):
            outside = index.clone()
            outside[3, 8] = wrong
            with pytest.raises(ValueError, match="positions in the map"):
                module.forward(args, outside, True, False)
            with pytest.raises(ValueError, match="positions in the map"):
                module.backward(args.x, args, outside, True, states)
        with pytest.raises(ValueError, match="not empty"):
            module.forward(empty, index, True, False)
