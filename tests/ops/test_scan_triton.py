"""The Triton kernels: interpreted against a literal loop, compiled for a GPU without one, and on a GPU when there is one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scan_cases import NAMES, flat, map_problem, step_by_step

from cdzoo.ops import scan_index, scan_reference, scan_triton
from cdzoo.ops.selfcheck import BACKWARD_TOLERANCE, FORWARD_TOLERANCE, relative_error

triton = pytest.importorskip("triton")

# batch, height, width, channels, states, softplus, skip and bias; 9 x 8 crosses the border of a chunk.
CASES = {
    "odd map": (2, 5, 7, 5, 4, True, True),
    "one step": (1, 1, 1, 1, 3, True, True),
    "two chunks, one state": (1, 9, 8, 3, 1, False, False),
    "sixteen states": (1, 2, 3, 3, 16, True, True),
    "large steps and decays": (1, 9, 8, 2, 2, True, False),
}


def problem(name):
    batch, height, width, channels, state, softplus, skip = CASES[name]
    tensors = map_problem(batch, height, width, channels, state, dtype=torch.float64, decay=float(state))
    with torch.no_grad():
        if name.startswith("large"):
            tensors[1].mul_(300)
            tensors[2][:2] = 0
            tensors[2][2:].mul_(1e4)
        if not softplus:
            tensors[1].abs_().mul_(0.5)
    return (tensors if skip else [*tensors[:5], None, None]), softplus


def compare(name):
    """Run one case on the kernels and return what differs too much from autograd through the loop, in float64."""
    tensors, softplus = problem(name)
    exact = step_by_step(*tensors, delta_softplus=softplus)
    grad = torch.randn(exact.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    given = [t for t in tensors if t is not None]
    wanted = iter(torch.autograd.grad(exact, given, grad))
    inputs = [None if t is None else t.float() for t in flat(tensors)]
    index = scan_index("cross", *exact.shape[1:3])
    y, states = scan_triton.forward(*inputs, index, softplus, True)
    grads = scan_triton.backward(grad.flatten(1, 2).float(), *inputs, index, softplus, states)
    errors = {"y": (relative_error(y.view(exact.shape), exact), FORWARD_TOLERANCE)}
    for label, own, tensor in zip(NAMES, grads, tensors, strict=True):
        if tensor is None:
            assert own is None, label
        elif (right := next(wanted)).abs().max() > 0:
            errors[label] = (relative_error(own.view(right.shape), right), BACKWARD_TOLERANCE)
    return {label: error for label, (error, most) in errors.items() if not error <= most}


@pytest.mark.parametrize("name", CASES)
def test_interpreted_kernels_agree_with_the_loop(name):
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import test_scan_triton as t; print(t.compare({name!r}))"
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "{}"


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from cdzoo.ops import triton_kernels as kernels

common = dict(T=64, BLOCK_D=32, HAS_BIAS=True, SOFTPLUS=True)
constants = {
    "summarize": common,
    "summarize_adjoint": common,
    "carry": dict(BLOCK_D=32, BLOCK_N=16, REVERSE=True),
    "outputs": {**common, "HAS_D": True},
    "gradients": {**common, "HAS_D": True},
}
for name, fixed in constants.items():
    kernel = getattr(kernels, name)
    kinds = {n: "i32" for n in ("L", "D", "N", "B", "K", "chunks")} | {"index": "*i32"} | {n: "constexpr" for n in fixed}
    signature = {n: kinds.get(n, "*fp32") for n in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=signature, constexprs={(kernel.arg_names.index(n),): v for n, v in fixed.items()})
    print(name, len(triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]) > 0)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Triton compiles for NVIDIA devices on Linux only")
@pytest.mark.skipif(int(triton.__version__.split(".")[1]) < 4, reason="triton before 3.4 has another compiler interface")
def test_kernels_compile_for_a_gpu_that_is_not_there(tmp_path):
    """The interpreter runs Python; types, shapes and layouts are only checked by the compiler."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("True") == 5


def test_it_is_not_chosen_without_a_gpu():
    if not torch.cuda.is_available():
        assert "CUDA device" in scan_triton.unavailable()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("state", [1, 4, 16])
@pytest.mark.parametrize("size", [(2, 64, 64, 192), (1, 33, 47, 80), (4, 8, 8, 640)])
def test_agrees_with_reference_on_a_gpu(size, state):
    tensors = [t.detach().cuda() for t in map_problem(*size, state, decay=float(state))]
    inputs, index = flat(tensors), scan_index("cross", *size[1:3], "cuda")
    grad = torch.randn_like(inputs[0])
    exact = [t.double() for t in inputs]
    y, states = scan_reference.forward(*exact, index, True, True)
    grads = scan_reference.backward(grad.double(), *exact, index, True, states)
    own_y, own_states = scan_triton.forward(*inputs, index, True, True)
    own_grads = scan_triton.backward(grad, *inputs, index, True, own_states)
    assert relative_error(own_y, y) <= FORWARD_TOLERANCE
    for label, own, right in zip(NAMES, own_grads, grads, strict=True):
        assert relative_error(own, right) <= BACKWARD_TOLERANCE, label
    again = scan_triton.backward(grad, *inputs, index, True, own_states)
    assert all(torch.equal(a, b) for a, b in zip(own_grads, again, strict=True)), "reproducible"
