"""The tensors of a selective scan as one value, and checks of their shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 64  # steps between saved states


class ScanArgs(NamedTuple):
    """Tensor arguments of a scan.

    The public functions take maps (B, H, W, Dm) or sequences (B, D, L). Backends take maps with one axis of positions, see
    :mod:`cdzoo.ops.backends`.

    Attributes:
        x: Input.
        delta: Step sizes before bias and softplus.
        A: Decay rates, at most 0.
        B: Input projections.
        C: Output projections.
        D: Skip weights, or None.
        delta_bias: Bias of the step sizes, or None.
    """

    x: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None = None
    delta_bias: Tensor | None = None

    def present(self) -> list[tuple[str, Tensor]]:
        """Return names and values of the tensors that are not None."""
        return [(name, tensor) for name, tensor in zip(self._fields, self, strict=True) if tensor is not None]

    def compute_dtype(self) -> torch.dtype:
        """Return float64 if any tensor is float64, else float32; half-precision types are storage formats only."""
        return torch.float64 if any(tensor.dtype == torch.float64 for _, tensor in self.present()) else torch.float32


Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor | None]

# Axes of x, delta, A, B, C, D and delta_bias, by layout.
_WEIGHTS = ("K, Dm", "K, Dm")
MAP = ("B, H, W, Dm", "K, B, H, W, Dm", "K, Dm, N", "B, H, W, K, N", "B, H, W, K, N", *_WEIGHTS)
MAP_CHANNELS_FIRST = ("B, Dm, H, W", "K, B, Dm, H, W", "K, Dm, N", "B, K, N, H, W", "B, K, N, H, W", *_WEIGHTS)
_FLAT_MAP = ("B, L, Dm", "K, B, L, Dm", "K, Dm, N", "B, L, K, N", "B, L, K, N", *_WEIGHTS)
_SEQUENCE = ("B, D, L", "B, D, L", "D, N", "B, G, N, L", "B, G, N, L", "D", "D")


def expect(name: str, tensor: Tensor | None, axes: str, sizes: dict[str, int]) -> None:
    """Check the shape of a tensor, unless it is None.

    Args:
        name: Name of the argument in the message.
        tensor: Tensor to check.
        axes: Names of its axes, such as ``"B, L, Dm"``.
        sizes: Size of each axis; sizes of new axes are added.

    Raises:
        ValueError: The tensor has another number of axes, or an axis has another size than in `sizes`.
    """
    if tensor is None:
        return
    names = axes.split(", ")
    if tensor.dim() != len(names):
        raise ValueError(f"{name} must be ({axes}), got {tuple(tensor.shape)}")
    shape = tuple(sizes.setdefault(axis, size) for axis, size in zip(names, tensor.shape, strict=True))
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} must be ({axes}) = {shape}, got {tuple(tensor.shape)}")


def check_tensors(args: ScanArgs, **others: Tensor | None) -> None:
    """Raise ValueError unless all tensors are real, floating-point, dense and on one device, and only optional ones None."""
    for name, tensor in (*args._asdict().items(), *others.items()):
        if tensor is None and (name in others or name in ScanArgs._field_defaults):
            continue
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
            raise ValueError(f"{name} must be a dense tensor, got {getattr(tensor, 'layout', type(tensor).__name__)}")
        if tensor.is_complex():
            raise ValueError(f"{name} must be real, got complex numbers; use mamba-ssm's own function for these")
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must be a floating-point tensor, got {tensor.dtype}")
        if tensor.device != args.x.device:
            raise ValueError(f"all tensors must be on one device, got x on {args.x.device} and {name} on {tensor.device}")


def check_map(args: ScanArgs, directions: int, layout: Sequence[str] = MAP) -> dict[str, int]:
    """Raise ValueError unless the shapes are those of a map that is scanned in a number of directions; return the sizes."""
    sizes = {"K": directions}
    for name, tensor, axes in zip(args._fields, args, layout, strict=True):
        expect(name, tensor, axes, sizes)
    _check_states(sizes)
    return sizes


def _check_states(sizes: dict[str, int]) -> None:
    if sizes["N"] < 1:
        raise ValueError("A must have at least one state, got an axis N of size 0")


def check_flat(args: ScanArgs, index: Tensor, grad_y: Tensor | None = None, states: Tensor | None = None) -> None:
    """Raise ValueError unless the shapes are those that backends take.

    Args:
        args: Maps with one axis of positions, see :mod:`cdzoo.ops.backends`.
        index: Positions of the steps, int32 (K, L).
        grad_y: Gradient of the output, in a backward pass.
        states: Saved states, in a backward pass.
    """
    sizes = check_map(args, len(args.A), _FLAT_MAP)
    shape = sizes["K"], sizes["L"]
    if index.dtype != torch.int32 or not index.is_contiguous() or index.shape != shape:
        raise ValueError(f"the scan index must be a contiguous int32 tensor (K, L) = {shape}")
    sizes["chunks"] = -(-sizes["L"] // CHUNK)
    expect("grad_y", grad_y, "B, L, Dm", sizes)
    expect("states", states, "K, B, chunks, Dm, N", sizes)


def check_sequence(args: ScanArgs) -> None:
    """Raise ValueError unless the shapes are those of sequences (B, D, L) with B and C of shape (B, G, N, L)."""
    sizes: dict[str, int] = {}
    for name, tensor, axes in zip(("u", *args._fields[1:]), args, _SEQUENCE, strict=True):
        expect(name, tensor, axes, sizes)
    _check_states(sizes)
    if sizes["G"] < 1 or sizes["D"] % sizes["G"]:
        raise ValueError(f"B has {sizes['G']} groups, which do not divide the {sizes['D']} channels")
