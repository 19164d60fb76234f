"""The tensors of a selective scan as one value, and the checks of their shapes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 64  # steps between saved states


class ScanArgs(NamedTuple):
    """The tensor arguments of a scan.

    Maps of the public functions are (B, H, W, Dm), sequences (B, D, L); backends take both flattened, as described in
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
        """Return float64 if any tensor is float64, else float32: half types are only a storage format here."""
        return torch.float64 if any(tensor.dtype == torch.float64 for _, tensor in self.present()) else torch.float32


Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor | None]


def expect(name: str, tensor: Tensor | None, shape: tuple[int, ...], letters: str) -> None:
    """Raise ValueError unless a tensor is None or has a shape.

    Args:
        name: Name of the argument in the message.
        tensor: Tensor to check.
        shape: Expected shape.
        letters: The expected shape in the letters of the documentation.
    """
    if tensor is not None and tuple(tensor.shape) != shape:
        raise ValueError(f"{name} must be {letters} = {tuple(shape)}, got {tuple(tensor.shape)}")


def _expect_rank(name: str, tensor: Tensor, letters: str) -> None:
    if tensor.dim() != letters.count(",") + 1:
        raise ValueError(f"{name} must be {letters}, got {tuple(tensor.shape)}")


def check_tensors(args: ScanArgs) -> None:
    """Raise ValueError unless all tensors are real, floating-point and on one device."""
    for name, tensor in args.present():
        if tensor.is_complex():
            raise ValueError(f"{name} must be real, got complex numbers; use mamba-ssm's own function for these")
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must be a floating-point tensor, got {tensor.dtype}")
        if tensor.device != args.x.device:
            raise ValueError(f"all tensors must be on one device, got x on {args.x.device} and {name} on {tensor.device}")


def check_map(args: ScanArgs, directions: int) -> None:
    """Raise ValueError unless the shapes are those of a channels-last map scanned in a number of directions."""
    _expect_rank("x", args.x, "(B, H, W, Dm)")
    _expect_rank("A", args.A, "(K, Dm, N)")
    batch, height, width, channels = args.x.shape
    state = args.A.shape[2]
    expect("delta", args.delta, (directions, batch, height, width, channels), "(K, B, H, W, Dm)")
    for name, tensor in (("B", args.B), ("C", args.C)):
        expect(name, tensor, (batch, height, width, directions, state), "(B, H, W, K, N)")
    _check_weights(args, directions, channels, state)


def check_flat(args: ScanArgs, index: Tensor, grad_y: Tensor | None = None, states: Tensor | None = None) -> None:
    """Raise ValueError unless the shapes are those that a backend takes.

    Args:
        args: Flattened tensors, see :mod:`cdzoo.ops.backends`.
        index: Positions of the steps, int32 (K, L).
        grad_y: Gradient of the output, in a backward pass.
        states: Saved states, in a backward pass.
    """
    _expect_rank("x", args.x, "(B, L, Dm)")
    _expect_rank("A", args.A, "(K, Dm, N)")
    batch, length, channels = args.x.shape
    directions, _, state = args.A.shape
    expect("delta", args.delta, (directions, batch, length, channels), "(K, B, L, Dm)")
    for name, tensor in (("B", args.B), ("C", args.C)):
        expect(name, tensor, (batch, length, directions, state), "(B, L, K, N)")
    _check_weights(args, directions, channels, state)
    if index.dtype != torch.int32 or not index.is_contiguous() or index.shape != (directions, length):
        raise ValueError(f"the scan index must be a contiguous int32 tensor (K, L) = {(directions, length)}")
    expect("grad_y", grad_y, (batch, length, channels), "(B, L, Dm)")
    chunks = -(-length // CHUNK)
    expect("states", states, (directions, batch, chunks, channels, state), "(K, B, chunks, Dm, N)")


def _check_weights(args: ScanArgs, directions: int, channels: int, state: int) -> None:
    expect("A", args.A, (directions, channels, state), "(K, Dm, N)")
    expect("D", args.D, (directions, channels), "(K, Dm)")
    expect("delta_bias", args.delta_bias, (directions, channels), "(K, Dm)")


def check_sequence(args: ScanArgs) -> None:
    """Raise ValueError unless the shapes are those of sequences (B, D, L) with B and C of shape (B, G, N, L)."""
    _expect_rank("u", args.x, "(B, D, L)")
    _expect_rank("A", args.A, "(D, N)")
    _expect_rank("B", args.B, "(B, G, N, L)")
    batch, channels, length = args.x.shape
    state, groups = args.A.shape[1], args.B.shape[1]
    expect("delta", args.delta, (batch, channels, length), "(B, D, L)")
    expect("A", args.A, (channels, state), "(D, N)")
    expect("D", args.D, (channels,), "(D,)")
    expect("delta_bias", args.delta_bias, (channels,), "(D,)")
    if groups < 1 or channels % groups:
        raise ValueError(f"B has {groups} groups, which do not divide the {channels} channels")
    for name, tensor in (("B", args.B), ("C", args.C)):
        expect(name, tensor, (batch, groups, state, length), "(B, G, N, L)")
