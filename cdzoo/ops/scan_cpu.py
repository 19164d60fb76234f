"""Backend ``cpu``: the native C++ kernel in ``csrc``, with SIMD over channels and threads over blocks of channels.

Of the compiled libraries, the one for the CPU capability reported by PyTorch is used; ``CDZOO_SCAN_ISA`` (avx512, avx2 or base)
overrides this. The kernel runs on ``torch.get_num_threads()`` threads, if possible those of PyTorch. Results are bitwise
independent of the number of threads.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from cdzoo.ops.args import CHUNK, Gradients, ScanArgs, check_flat
from cdzoo.ops.build import LIBRARIES, library_path

_ABI = 3  # CDZOO_SCAN_ABI in csrc/scan.cpp
_LANES = {"avx512": 16, "avx2": 8, "base": 4}
_REBUILD = "run `python -m cdzoo.ops.build`"
_IMPORTING_PROCESS = os.getpid()


class _Problem(ctypes.Structure):
    """The struct ``Problem`` of csrc/problem.hpp, with the same fields."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("batch", "length", "channels", "directions", "state", "softplus", "threads")),
        *((name, ctypes.c_void_p) for name in ("region", "x", "delta", "A", "B", "C", "D", "bias", "index")),
    ]


def supported() -> list[str]:
    """Return the instruction sets that this CPU supports, best first."""
    capability = torch.backends.cpu.get_cpu_capability().upper()
    if capability.startswith("AVX512"):
        return ["avx512", "avx2", "base"]
    return ["avx2", "base"] if capability.startswith("AVX2") else ["base"]


def built() -> list[str]:
    """Return the supported instruction sets that have a library, best first."""
    return [isa for isa in supported() if library_path(isa).exists()]


@cache
def _open(path: Path, isa: str) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path))
        library.cdzoo_scan_abi.restype = ctypes.c_int
        library.cdzoo_scan_lanes.restype = ctypes.c_int
        found = (library.cdzoo_scan_abi(), library.cdzoo_scan_lanes())
    except (OSError, AttributeError) as error:
        raise RuntimeError(f"the native scan {path} does not load ({error}); {_REBUILD}") from error
    if found != (_ABI, _LANES[isa]):
        raise RuntimeError(f"the native scan {path} has another version (ABI, lanes {found}); {_REBUILD}")
    pointer = ctypes.c_void_p
    library.cdzoo_scan_forward.argtypes = [ctypes.POINTER(_Problem), pointer, pointer]
    library.cdzoo_scan_backward.argtypes = [ctypes.POINTER(_Problem), *[pointer] * 9]
    return library


def _library() -> ctypes.CDLL:
    """Return the library to use.

    Raises:
        RuntimeError: There is no library for this CPU; the message has the command that builds one.
    """
    wanted = os.environ.get("CDZOO_SCAN_ISA", "").strip().lower()
    if wanted and wanted not in supported():
        raise RuntimeError(f"CDZOO_SCAN_ISA={wanted}: this CPU supports {', '.join(supported())}; unset it or use one of these")
    choices = [wanted] if wanted else built()
    path = library_path(choices[0]) if choices else LIBRARIES
    if not choices or not path.exists():
        raise RuntimeError(f"the native scan is not built ({path} has no library); {_REBUILD} (needs a C++ compiler)")
    return _open(path, choices[0])


def unavailable() -> str | None:
    """Return None if there is a library for this CPU, else the reason and a remedy."""
    try:
        _library()
    except RuntimeError as error:
        return str(error)
    return None


@cache
def _openmp() -> int | None:
    """Return the address of ``GOMP_parallel`` in the OpenMP library of PyTorch; None if there is none, as on Windows."""
    try:
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p).value
    except (AttributeError, OSError, TypeError):
        return None


def _region() -> int | None:
    """Return the address that starts threads; None in a forked process, which does not inherit the threads of PyTorch."""
    return _openmp() if os.getpid() == _IMPORTING_PROCESS else None


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _check(status: int) -> None:
    """Raise the exception of a status of the kernel that is not 0."""
    if status == 1:
        raise MemoryError("the native scan ran out of memory")
    if status:
        raise ValueError("the native scan requires maps and states that are not empty, and an index of positions in the map")


def _describe(
    args: ScanArgs, index: Tensor, softplus: bool, grad_y: Tensor | None = None, states: Tensor | None = None
) -> _Problem:
    """Check the tensors, because the kernel does not, and return sizes and addresses as it takes them."""
    check_flat(args, index, grad_y, states)
    for name, tensor in (*args.present(), ("grad_y", grad_y), ("states", states)):
        if tensor is not None and (tensor.dtype, tensor.is_contiguous(), tensor.device.type) != (torch.float32, True, "cpu"):
            raise ValueError(f"the native scan requires contiguous float32 tensors on the CPU, which {name} is not")
    directions, _, state = args.A.shape
    sizes = (*args.x.shape, directions, state, int(softplus), torch.get_num_threads())
    return _Problem(*sizes, _region(), *map(_address, (*args, index)))


def forward(args: ScanArgs, index: Tensor, delta_softplus: bool, save_states: bool) -> tuple[Tensor, Tensor]:
    """Scan K directions and sum the results at each position; shapes as in :mod:`cdzoo.ops.backends`, float32."""
    x, (directions, channels, state) = args.x, args.A.shape
    problem = _describe(args, index, delta_softplus)
    y = torch.empty_like(x)
    states = x.new_empty((directions, len(x), -(-x.shape[1] // CHUNK), channels, state) if save_states else (0,))
    _check(_library().cdzoo_scan_forward(problem, y.data_ptr(), _address(states if save_states else None)))
    return y, states


def backward(grad_y: Tensor, args: ScanArgs, index: Tensor, delta_softplus: bool, states: Tensor) -> Gradients:
    """Return the gradients of x, delta, A, B, C, D and delta_bias, in this order."""
    x, delta, A, B, C, D, delta_bias = args
    problem = _describe(args, index, delta_softplus, grad_y, states)
    grads = [torch.empty_like(t) for t in (x, delta, A, B, C)] + [x.new_empty(A.shape[:2]) for _ in range(2)]
    _check(_library().cdzoo_scan_backward(problem, grad_y.data_ptr(), states.data_ptr(), *map(_address, grads)))
    dx, ddelta, dA, dB, dC, dD, dbias = grads
    return dx, ddelta, dA, dB, dC, None if D is None else dD, None if delta_bias is None else dbias
