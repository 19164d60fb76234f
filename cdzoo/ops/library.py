"""The two scan operators registered with PyTorch, whichever backend runs them.

Autograd, torch.compile, torch.export and FLOP counters each see one operator: ``cdzoo::ss2d_scan`` or
``cdzoo::selective_scan``. Their backward passes are operators too. Both return ``(y, states)``, where states (fp32, see
:mod:`cdzoo.ops.backends`, here flattened) are what the backward pass restarts from, empty when no gradient is needed: a
dimension for the number of chunks would tie an exported program to maps of one chunk, or to maps of several.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cdzoo.ops.backends import backend_for
from cdzoo.ops.orders import line_index, num_directions, scan_index

CHUNK = 64
# Spelled out where an operator returns it: torch before 2.7 cannot read an alias in a schema.
Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def compute_dtype(*tensors: Tensor | None) -> torch.dtype:
    """Return float64 if any tensor is float64, else float32: half types are only a storage format here."""
    return torch.float64 if any(t is not None and t.dtype == torch.float64 for t in tensors) else torch.float32


def _cast(dtype: torch.dtype, *tensors: Tensor | None) -> list[Any]:
    return [None if t is None else t.to(dtype).contiguous() for t in tensors]


def _plain(device: torch.device) -> torch.autocast:
    # Autocast stays switched on inside an operator's body and would turn the reference's products into half precision.
    return torch.autocast(device.type, enabled=False)


def _run_forward(tensors: list[Any], index: Tensor, softplus: bool, save: bool) -> tuple[Tensor, Tensor]:
    x = tensors[0]
    with _plain(x.device):
        return backend_for(x.device.type, x.dtype).forward(*tensors, index, softplus, save)


def _run_backward(grad_y: Tensor, tensors: list[Any], index: Tensor, softplus: bool, states: Tensor) -> list[Any]:
    x = tensors[0]
    module = backend_for(x.device.type, x.dtype)
    with _plain(x.device):
        if states.numel() == 0 and x.numel() > 0:  # the operator was called without save_states: scan once more
            states = module.forward(*tensors, index, softplus, True)[1]
        batch, length, channels = x.shape
        states = states.view(len(index), batch, -(-length // CHUNK), channels, tensors[2].shape[2])
        return list(module.backward(grad_y, *tensors, index, softplus, states))


def _as_outputs(grads: list[Tensor | None], x: Tensor) -> Gradients:
    """An operator returns tensors only: an empty one stands for the gradient of an absent D or delta_bias."""
    g = [x.new_empty(0) if t is None else t for t in grads]
    return g[0], g[1], g[2], g[3], g[4], g[5], g[6]


def _finish(grads: list[Tensor | None], like: list[Tensor | None], x: Tensor) -> Gradients:
    """Gradients in the type of their inputs."""
    typed = [None if g is None or t is None else g.to(t.dtype) for g, t in zip(grads, like, strict=True)]
    return _as_outputs(typed, x)


# ---------------------------------------------------------------------------------------------------- maps


@torch.library.custom_op("cdzoo::ss2d_scan", mutates_args=())
def ss2d_scan_op(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    order: str,
    save_states: bool,
) -> tuple[Tensor, Tensor]:
    """Operator behind :func:`cdzoo.ops.ss2d_scan`, channels last."""
    index, flat = _map_problem(x, delta, A, B, C, D, delta_bias, order)
    y, states = _run_forward(flat, index, delta_softplus, save_states)
    return y.view(x.shape).to(x.dtype), states.flatten()


def _map_problem(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None, delta_bias: Tensor | None, order: str
) -> tuple[Tensor, list[Any]]:
    height, width = x.shape[1], x.shape[2]
    dtype = compute_dtype(x, delta, A, B, C, D, delta_bias)
    tensors = _cast(dtype, x, delta, A, B, C, D, delta_bias)
    tensors[0] = tensors[0].flatten(1, 2)  # (B, L, Dm)
    tensors[1] = tensors[1].flatten(2, 3)  # (K, B, L, Dm)
    tensors[3], tensors[4] = tensors[3].flatten(1, 2), tensors[4].flatten(1, 2)  # (B, L, K, N)
    return scan_index(order, height, width, str(x.device)), tensors


@ss2d_scan_op.register_fake
def _(
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    order: str,
    save_states: bool,
) -> tuple[Tensor, Tensor]:
    chunks = (x.shape[1] * x.shape[2] + CHUNK - 1) // CHUNK
    size = num_directions(order) * x.shape[0] * chunks * x.shape[3] * A.shape[2] if save_states else 0
    return x.new_empty(x.shape), x.new_empty(size, dtype=compute_dtype(x, delta, A, B, C, D, delta_bias))


@torch.library.custom_op("cdzoo::ss2d_scan_backward", mutates_args=())
def ss2d_scan_backward_op(
    grad_y: Tensor,
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    order: str,
    states: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of ``cdzoo::ss2d_scan``; empty tensors for an absent D and delta_bias."""
    index, flat = _map_problem(x, delta, A, B, C, D, delta_bias, order)
    grad = grad_y.to(flat[0].dtype).contiguous().flatten(1, 2)
    grads = _run_backward(grad, flat, index, delta_softplus, states)
    like = [x, delta, A, B, C, D, delta_bias]
    shaped = [None if g is None or t is None else g.view(t.shape) for g, t in zip(grads, like, strict=True)]
    return _finish(shaped, like, x)


@ss2d_scan_backward_op.register_fake
def _(
    grad_y: Tensor,
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    order: str,
    states: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    return _fake_gradients([x, delta, A, B, C, D, delta_bias], x)


def _fake_gradients(like: list[Tensor | None], x: Tensor) -> Gradients:
    return _as_outputs([None if t is None else t.new_empty(t.shape) for t in like], x)


# ------------------------------------------------------------------------------------------------ sequences


@torch.library.custom_op("cdzoo::selective_scan", mutates_args=())
def selective_scan_op(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    save_states: bool,
) -> tuple[Tensor, Tensor]:
    """Operator behind :func:`cdzoo.ops.selective_scan`; B and C are (B, G, N, L), the states G times (B, chunks, D / G, N)."""
    outs, states = [], []
    for group in _sequence_problems(u, delta, A, B, C, D, delta_bias):
        y, s = _run_forward(group, line_index(u.shape[2], str(u.device)), delta_softplus, save_states)
        outs.append(y)
        states.append(s)
    y = torch.cat(outs, dim=2).transpose(1, 2).to(u.dtype).contiguous()
    return y, torch.cat(states).flatten()


def _sequence_problems(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None, delta_bias: Tensor | None
) -> list[list[Any]]:
    """One K = 1 problem per group of channels that share B and C."""
    dtype = compute_dtype(u, delta, A, B, C, D, delta_bias)
    groups, width = B.shape[1], u.shape[1] // B.shape[1]
    problems = []
    for g in range(groups):
        part = slice(g * width, (g + 1) * width)
        rows = [u[:, part].transpose(1, 2), delta[:, part].transpose(1, 2).unsqueeze(0), A[part].unsqueeze(0)]
        inner = [B[:, g].transpose(1, 2).unsqueeze(2), C[:, g].transpose(1, 2).unsqueeze(2)]  # (B, L, 1, N)
        skips = [None if v is None else v[part].unsqueeze(0) for v in (D, delta_bias)]
        problems.append(_cast(dtype, *rows, *inner, *skips))
    return problems


@selective_scan_op.register_fake
def _(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    save_states: bool,
) -> tuple[Tensor, Tensor]:
    chunks = (u.shape[2] + CHUNK - 1) // CHUNK
    size = u.shape[0] * chunks * u.shape[1] * A.shape[1] if save_states else 0
    return u.new_empty(u.shape), u.new_empty(size, dtype=compute_dtype(u, delta, A, B, C, D, delta_bias))


@torch.library.custom_op("cdzoo::selective_scan_backward", mutates_args=())
def selective_scan_backward_op(
    grad_y: Tensor,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    states: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of ``cdzoo::selective_scan``; empty tensors for an absent D and delta_bias."""
    problems = _sequence_problems(u, delta, A, B, C, D, delta_bias)
    index, dtype, width = line_index(u.shape[2], str(u.device)), problems[0][0].dtype, u.shape[1] // B.shape[1]
    groups = []
    for g, problem in enumerate(problems):
        grad = grad_y[:, g * width : (g + 1) * width].transpose(1, 2).to(dtype).contiguous()
        own = states.view(B.shape[1], -1)[g] if states.numel() else states
        groups.append(_run_backward(grad, problem, index, delta_softplus, own))
    du, ddelta, dA, dB, dC, dD, dbias = zip(*groups, strict=True)
    grads = [
        torch.cat(du, 2).transpose(1, 2),
        torch.cat(ddelta, 3).squeeze(0).transpose(1, 2),
        torch.cat(dA, 1).squeeze(0),
        torch.cat(dB, 2).permute(0, 2, 3, 1),  # (B, L, G, N) -> (B, G, N, L)
        torch.cat(dC, 2).permute(0, 2, 3, 1),
        None if D is None else torch.cat(dD, 1).squeeze(0),
        None if delta_bias is None else torch.cat(dbias, 1).squeeze(0),
    ]
    return _finish([None if g is None else g.contiguous() for g in grads], [u, delta, A, B, C, D, delta_bias], u)


@selective_scan_backward_op.register_fake
def _(
    grad_y: Tensor,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    states: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    return _fake_gradients([u, delta, A, B, C, D, delta_bias], u)


# ------------------------------------------------------------------------------------------------- autograd


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    tensors, (ctx.delta_softplus, *order, _) = inputs[:7], inputs[7:]
    ctx.order = order  # [name] for maps, [] for sequences
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*tensors, output[1])


def _differentiate(operator: Any) -> Any:
    def run(ctx: Any, grad_y: Tensor, grad_states: Tensor | None) -> tuple[Any, ...]:
        *tensors, states = ctx.saved_tensors
        grads = operator(grad_y, *tensors, ctx.delta_softplus, *ctx.order, states)
        kept = [None if t is None else g for g, t in zip(grads, tensors, strict=True)]
        return (*kept, None, *(None for _ in ctx.order), None)

    return run


ss2d_scan_op.register_autograd(_differentiate(ss2d_scan_backward_op), setup_context=_setup)
selective_scan_op.register_autograd(_differentiate(selective_scan_backward_op), setup_context=_setup)
