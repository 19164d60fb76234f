"""Operators that are called directly check every shape: a kernel would read past the end of a tensor that is too small."""

import pytest
import torch
from scan_cases import usable_backends

from cdzoo import ops
from cdzoo.ops import library, scan_cpu, scan_index
from cdzoo.ops.args import ScanArgs, check_flat

NAMES = ScanArgs._fields


def map_args():
    A = -torch.rand(4, 8, 3)
    B, C = torch.randn(2, 5, 6, 4, 3), torch.randn(2, 5, 6, 4, 3)
    return [torch.randn(2, 5, 6, 8), torch.randn(4, 2, 5, 6, 8), A, B, C, torch.randn(4, 8), torch.randn(4, 8)]


def sequence_args():
    B, C = torch.randn(2, 2, 3, 9), torch.randn(2, 2, 3, 9)
    return [torch.randn(2, 8, 9), torch.randn(2, 8, 9), -torch.rand(8, 3), B, C, torch.randn(8), torch.randn(8)]


def operators():
    """Return the arguments of a valid call and the function to call, by name of the operator."""
    return {
        "ss2d_scan": (map_args(), lambda t: library.ss2d_scan_op(*t, True, "cross", True)),
        "ss2d_scan_backward": (
            map_args(),
            lambda t: library.ss2d_scan_backward_op(torch.randn(2, 5, 6, 8), *t, True, "cross", torch.empty(0)),
        ),
        "selective_scan": (sequence_args(), lambda t: library.selective_scan_op(*t, True, True)),
        "selective_scan_backward": (
            sequence_args(),
            lambda t: library.selective_scan_backward_op(torch.randn(2, 8, 9), *t, True, torch.empty(0)),
        ),
    }


CUTS = [(place, axis) for place, dims in enumerate((4, 5, 3, 5, 5, 2, 2)) for axis in range(dims)]


@pytest.mark.parametrize("operator", operators())
@pytest.mark.parametrize(("place", "axis"), CUTS)
def test_too_small_tensors_raise(operator, place, axis):
    tensors, call = operators()[operator]
    if axis >= tensors[place].dim():
        pytest.skip("sequences have fewer axes")
    call(tensors)
    tensors[place] = tensors[place].narrow(axis, 0, tensors[place].shape[axis] - 1).contiguous()
    with pytest.raises(ValueError, match=r"must be|groups"):
        call(tensors)


@pytest.mark.parametrize("operator", operators())
@pytest.mark.parametrize("place", range(7))
def test_missing_axes_and_wrong_types_raise_with_the_argument(operator, place):
    tensors, call = operators()[operator]
    name = "u" if place == 0 and operator.startswith("selective") else NAMES[place]
    for wrong in (tensors[place][0], tensors[place].long(), tensors[place].to(torch.complex64)):
        with pytest.raises(ValueError, match=rf"^(u|x|{name}) must be|^delta must be|^B must be"):
            call([*tensors[:place], wrong, *tensors[place + 1 :]])


@pytest.mark.parametrize("operator", ["ss2d_scan_backward", "selective_scan_backward"])
def test_gradients_and_states_are_checked(operator):
    maps = operator.startswith("ss2d")
    tensors = map_args() if maps else sequence_args()
    call = library.ss2d_scan_backward_op if maps else library.selective_scan_backward_op
    rest = (True, "cross") if maps else (True,)
    with pytest.raises(ValueError, match="grad_y must be"):
        call(tensors[0][:1], *tensors, *rest, torch.empty(0))
    with pytest.raises(ValueError, match="states must have"):
        call(tensors[0], *tensors, *rest, torch.empty(6))


@pytest.mark.parametrize("operator", ["ss2d_scan_backward", "selective_scan_backward"])
def test_types_of_gradients_and_states_are_checked(operator):
    maps = operator.startswith("ss2d")
    tensors = map_args() if maps else sequence_args()
    call = library.ss2d_scan_backward_op if maps else library.selective_scan_backward_op
    rest = (True, "cross") if maps else (True,)
    states = (library.ss2d_scan_op if maps else library.selective_scan_op)(*tensors, *rest, True)[1]
    call(tensors[0], *tensors, *rest, states)
    for grad_y in (tensors[0].long(), tensors[0].to(torch.complex64), tensors[0].to("meta")):
        with pytest.raises(ValueError, match=r"grad_y|one device"):
            call(grad_y, *tensors, *rest, states)
    for wrong in (states.double(), states.int(), states[:-1]):
        with pytest.raises(ValueError, match="states"):
            call(tensors[0], *tensors, *rest, wrong)


@pytest.mark.parametrize("place", range(7))
@pytest.mark.parametrize("scan", ["ss2d_scan", "selective_scan"])
def test_public_functions_refuse_what_is_no_dense_real_tensor(scan, place):
    tensors = map_args() if scan == "ss2d_scan" else sequence_args()
    name = "u" if place == 0 and scan == "selective_scan" else NAMES[place]

    def call(value):
        values = [*tensors[:place], value, *tensors[place + 1 :]]
        return ops.ss2d_scan(*values) if scan == "ss2d_scan" else ops.selective_scan(*values[:6], None, values[6])

    wrong = [tensors[place].tolist(), tensors[place].to_sparse(), tensors[place].to("meta"), tensors[place].bool()]
    for value in wrong if place >= 5 else [*wrong, None]:
        with pytest.raises(ValueError, match=rf"{name}|x must|one device"):
            call(value)


def test_gates_states_and_groups_are_checked():
    u, delta, A, B, C, *_ = sequence_args()
    for z in (u.long(), u[:1], u.to("meta"), [1.0]):
        with pytest.raises(ValueError, match=r"z must|one device"):
            ops.selective_scan(u, delta, A, B, C, z=z)
    with pytest.raises(ValueError, match="B has 0 groups"):
        ops.selective_scan(u, delta, A, B[:, :0], C[:, :0])
    with pytest.raises(ValueError, match="at least one state"):
        ops.selective_scan(u, delta, A[:, :0], B[:, :, :0], C[:, :, :0])
    with pytest.raises(ValueError, match="unknown scan order"):
        ops.ss2d_scan(*map_args(), order=["cross"])
    with pytest.raises(ValueError, match="more than 2"):
        scan_index("cross", 1 << 16, 1 << 15)


def test_meta_tensors_are_checked_too():
    tensors = [t.to("meta") for t in map_args()]
    assert library.ss2d_scan_op(*tensors, True, "cross", True)[0].shape == (2, 5, 6, 8)
    with pytest.raises(ValueError, match="D must be"):
        library.ss2d_scan_op(*tensors[:5], tensors[5][:, :2], tensors[6], True, "cross", True)


def test_backends_check_the_index():
    args = ScanArgs(*(t for t in map_args()))
    flat = args._replace(x=args.x.flatten(1, 2), delta=args.delta.flatten(2, 3), B=args.B.flatten(1, 2), C=args.C.flatten(1, 2))
    index = scan_index("cross", 5, 6)
    check_flat(flat, index)
    for wrong in (index[:3], index.long(), index[:, :-1], index.t()):
        with pytest.raises(ValueError, match="scan index"):
            check_flat(flat, wrong)
    if usable_backends():
        with pytest.raises(ValueError, match="states must be"):
            scan_cpu.backward(flat.x, flat, index, True, torch.zeros(4, 2, 1, 8, 2))
