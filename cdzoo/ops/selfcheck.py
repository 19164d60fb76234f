"""Self-check of a backend: comparison with ``reference`` on a small problem."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from cdzoo.ops import scan_reference
from cdzoo.ops.args import ScanArgs
from cdzoo.ops.orders import scan_index

FORWARD_TOLERANCE = 1e-5
BACKWARD_TOLERANCE = 1e-4


def relative_error(value: Tensor, expected: Tensor) -> float:
    """Return the maximum difference divided by the maximum magnitude of `expected`; infinity for NaN or another shape."""
    if value.shape != expected.shape:
        return float("inf")
    if expected.numel() == 0:
        return 0.0
    value, expected = value.detach(), expected.detach()
    difference = (value.double() - expected.double()).abs().max() / expected.double().abs().max().clamp_min(1e-30)
    return float(difference) if bool(torch.isfinite(difference)) else float("inf")


def problem(state: int, height: int, width: int, channels: int, device: torch.device) -> list[Tensor]:
    """Return reproducible float32 tensors x, delta, A, B, C, D, delta_bias and grad_y; the global generator is not used."""
    gen = torch.Generator().manual_seed(state)
    length, batch, directions = height * width, 2, 4

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=gen)

    tensors = [
        normal(batch, length, channels),
        normal(directions, batch, length, channels) - 1.0,
        -torch.rand(directions, channels, state, generator=gen) * state,
        normal(batch, length, directions, state),
        normal(batch, length, directions, state),
        normal(directions, channels),
        normal(directions, channels) * 0.1,
        normal(batch, length, channels),
    ]
    return [t.to(device) for t in tensors]


@torch.no_grad()
def disagreement(backend: ModuleType, device: torch.device) -> str | None:
    """Compare the forward and backward pass of a backend with ``reference``; describe the first difference, or return None.

    The map has odd sides and is longer than one chunk, and the number of channels is not a multiple of a SIMD width.
    """
    # Triton's interpreter takes milliseconds per step, so its map is shorter than one chunk.
    interpreted = device.type == "cpu" and backend.__name__.endswith("triton")
    height, width, channels = (2, 3, 5) if interpreted else (9, 11, 19)
    for state in (4,) if interpreted else (1, 16):
        x, delta, A, B, C, D, bias, grad_y = problem(state, height, width, channels, device)
        inputs = ScanArgs(x, delta, A, B, C, D, bias)
        index = scan_index("cross", height, width, str(device))
        expected_y, expected_states = scan_reference.forward(inputs, index, True, True)
        expected = scan_reference.backward(grad_y, inputs, index, True, expected_states)
        y, states = backend.forward(inputs, index, True, True)
        error = relative_error(y, expected_y)
        if error > FORWARD_TOLERANCE:
            return f"forward differs from reference by {error:.1e} (N = {state})"
        for name, value, right in zip(
            ScanArgs._fields, backend.backward(grad_y, inputs, index, True, states), expected, strict=True
        ):
            error = relative_error(value, right) if value is not None and right is not None else float("inf")
            if error > BACKWARD_TOLERANCE:
                return f"gradient of {name} differs from reference by {error:.1e} (N = {state})"
    return None
