"""The two scan operators registered with PyTorch, whichever backend runs them.

Autograd, torch.compile, torch.export and FLOP counters each see one operator: ``cdzoo::ss2d_scan`` or
``cdzoo::selective_scan``. Their backward passes are operators too. Both return ``(y, states)``, where states (fp32, see
:mod:`cdzoo.ops.backends`, here flattened) are what the backward pass restarts from, empty when no gradient is needed: a
dimension for the number of chunks would tie an exported program to maps of one chunk, or to maps of several.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from cdzoo.ops.args import CHUNK, Gradients, ScanArgs, check_flat, check_map, check_sequence, check_tensors, expect
from cdzoo.ops.backends import backend_for
from cdzoo.ops.orders import line_index, num_directions, scan_index

_MAPS = ("x", "delta", "B", "C")
# Schemas are written out once here; torch could derive them only from signatures that repeat every tensor.
_TENSORS = "Tensor {x}, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? delta_bias, bool delta_softplus"
_GRADIENTS = "(" + ", ".join(["Tensor"] * 7) + ")"


def _plain(device: torch.device) -> torch.autocast:
    # Autocast stays enabled inside an operator's body and would turn the reference's products into half precision.
    return torch.autocast(device.type, enabled=False)


def _prepare(args: ScanArgs) -> tuple[ScanArgs, ModuleType]:
    """Return contiguous tensors in the types that the backend reads, and the backend."""
    dtype = args.compute_dtype()
    module = backend_for(args.x.device.type, dtype)
    half = getattr(module, "READS_HALF", False) and dtype == torch.float32

    def cast(name: str, tensor: Tensor | None) -> Any:
        if tensor is None:
            return None
        keep = half and name in _MAPS and tensor.dtype in (torch.float16, torch.bfloat16)
        return (tensor if keep else tensor.to(dtype)).contiguous()

    return ScanArgs(*(cast(name, tensor) for name, tensor in zip(args._fields, args, strict=True))), module


def _run_forward(args: ScanArgs, index: Tensor, softplus: bool, save: bool) -> tuple[Tensor, Tensor]:
    tensors, module = _prepare(args)
    check_flat(tensors, index)
    with _plain(args.x.device):
        return module.forward(tensors, index, softplus, save)


def _run_backward(grad_y: Tensor, args: ScanArgs, index: Tensor, softplus: bool, states: Tensor) -> Gradients:
    tensors, module = _prepare(args)
    x = tensors.x
    batch, length, channels = x.shape
    shape = (len(index), batch, -(-length // CHUNK), channels, tensors.A.shape[2])
    with _plain(x.device):
        if states.numel() == 0 and x.numel() > 0:  # the operator was called without save_states: scan once more
            states = module.forward(tensors, index, softplus, True)[1]
        if states.numel() != torch.Size(shape).numel():
            raise ValueError(f"states must have {torch.Size(shape).numel()} elements, got {states.numel()}")
        states = states.view(shape)
        check_flat(tensors, index, grad_y, states)
        return module.backward(grad_y.to(x.dtype).contiguous(), tensors, index, softplus, states)


def _finish(grads: list[Tensor | None], like: ScanArgs) -> tuple[Tensor, ...]:
    """Return gradients in the shapes and types of their inputs; an empty tensor for an absent D or delta_bias."""
    pairs = zip(grads, like, strict=True)
    return tuple(like.x.new_empty(0) if g is None or t is None else g.to(t.dtype).reshape(t.shape) for g, t in pairs)


def _fake_outputs(args: ScanArgs, steps: Any, directions: int, save: bool) -> tuple[Tensor, Tensor]:
    chunks = (steps + CHUNK - 1) // CHUNK
    channels = args.x.shape[3] if args.x.dim() == 4 else args.x.shape[1]
    size = directions * args.x.shape[0] * chunks * channels * args.A.shape[-1] if save else 0
    return args.x.new_empty(args.x.shape), args.x.new_empty(size, dtype=args.compute_dtype())


def _fake_gradients(grad_y: Tensor, *values: Any) -> tuple[Tensor, ...]:
    args = ScanArgs(*values[:7])
    return tuple(args.x.new_empty(0) if t is None else t.new_empty(t.shape) for t in args)


# ---------------------------------------------------------------------------------------------------- maps


def _flatten_map(args: ScanArgs, order: str) -> tuple[Tensor, ScanArgs]:
    """Check a map and return the scan index and the tensors with one axis of positions."""
    check_tensors(args)
    check_map(args, num_directions(order))
    height, width = args.x.shape[1:3]
    flat = args._replace(x=args.x.flatten(1, 2), delta=args.delta.flatten(2, 3), B=args.B.flatten(1, 2), C=args.C.flatten(1, 2))
    return scan_index(order, height, width, str(args.x.device)), flat


def _map_forward(*values: Any) -> tuple[Tensor, Tensor]:
    args, (softplus, order, save) = ScanArgs(*values[:7]), values[7:]
    index, flat = _flatten_map(args, order)
    y, states = _run_forward(flat, index, softplus, save)
    return y.view(args.x.shape).to(args.x.dtype), states.flatten()


def _map_backward(grad_y: Tensor, *values: Any) -> tuple[Tensor, ...]:
    args, (softplus, order, states) = ScanArgs(*values[:7]), values[7:]
    index, flat = _flatten_map(args, order)
    expect("grad_y", grad_y, tuple(args.x.shape), "(B, H, W, Dm)")
    return _finish(list(_run_backward(grad_y.flatten(1, 2), flat, index, softplus, states)), args)


ss2d_scan_op = torch.library.custom_op(
    "cdzoo::ss2d_scan",
    _map_forward,
    mutates_args=(),
    schema=f"({_TENSORS.format(x='x')}, str order, bool save_states) -> (Tensor, Tensor)",
)
ss2d_scan_backward_op = torch.library.custom_op(
    "cdzoo::ss2d_scan_backward",
    _map_backward,
    mutates_args=(),
    schema=f"(Tensor grad_y, {_TENSORS.format(x='x')}, str order, Tensor states) -> {_GRADIENTS}",
)


@ss2d_scan_op.register_fake
def _(*values: Any) -> tuple[Tensor, Tensor]:
    args, (_, order, save) = ScanArgs(*values[:7]), values[7:]
    return _fake_outputs(args, args.x.shape[1] * args.x.shape[2], num_directions(order), save)


ss2d_scan_backward_op.register_fake(_fake_gradients)


# ------------------------------------------------------------------------------------------------ sequences


def _groups(args: ScanArgs) -> list[ScanArgs]:
    """Check sequences and return one problem of one direction per group of channels that share B and C."""
    check_tensors(args)
    check_sequence(args)
    count = args.B.shape[1]
    width = args.x.shape[1] // count
    problems = []
    for g in range(count):
        part = slice(g * width, (g + 1) * width)
        rows = [args.x[:, part].transpose(1, 2), args.delta[:, part].transpose(1, 2).unsqueeze(0), args.A[part].unsqueeze(0)]
        inner = [args.B[:, g].transpose(1, 2).unsqueeze(2), args.C[:, g].transpose(1, 2).unsqueeze(2)]  # (B, L, 1, N)
        skips = [None if v is None else v[part].unsqueeze(0) for v in (args.D, args.delta_bias)]
        problems.append(ScanArgs(*rows, *inner, *skips))
    return problems


def _sequence_forward(*values: Any) -> tuple[Tensor, Tensor]:
    args, (softplus, save) = ScanArgs(*values[:7]), values[7:]
    problems = _groups(args)
    index = line_index(args.x.shape[2], str(args.x.device))
    outs, states = zip(*(_run_forward(problem, index, softplus, save) for problem in problems), strict=True)
    y = torch.cat(outs, dim=2).transpose(1, 2).to(args.x.dtype).contiguous()
    return y, torch.cat(states).flatten()  # the states of a group: (B, chunks, D / G, N)


def _sequence_backward(grad_y: Tensor, *values: Any) -> tuple[Tensor, ...]:
    args, (softplus, states) = ScanArgs(*values[:7]), values[7:]
    problems = _groups(args)
    expect("grad_y", grad_y, tuple(args.x.shape), "(B, D, L)")
    index, width = line_index(args.x.shape[2], str(args.x.device)), args.x.shape[1] // len(problems)
    groups = []
    for g, problem in enumerate(problems):
        grad = grad_y[:, g * width : (g + 1) * width].transpose(1, 2)
        own = states.view(len(problems), -1)[g] if states.numel() else states
        groups.append(_run_backward(grad, problem, index, softplus, own))
    du, ddelta, dA, dB, dC, dD, dbias = zip(*groups, strict=True)
    grads = [
        torch.cat(du, 2).transpose(1, 2),
        torch.cat(ddelta, 3).squeeze(0).transpose(1, 2),
        torch.cat(dA, 1).squeeze(0),
        torch.cat(dB, 2).permute(0, 2, 3, 1),  # (B, L, G, N) -> (B, G, N, L)
        torch.cat(dC, 2).permute(0, 2, 3, 1),
        None if args.D is None else torch.cat(dD, 1).squeeze(0),
        None if args.delta_bias is None else torch.cat(dbias, 1).squeeze(0),
    ]
    return _finish([None if g is None else g.contiguous() for g in grads], args)


selective_scan_op = torch.library.custom_op(
    "cdzoo::selective_scan",
    _sequence_forward,
    mutates_args=(),
    schema=f"({_TENSORS.format(x='u')}, bool save_states) -> (Tensor, Tensor)",
)
selective_scan_backward_op = torch.library.custom_op(
    "cdzoo::selective_scan_backward",
    _sequence_backward,
    mutates_args=(),
    schema=f"(Tensor grad_y, {_TENSORS.format(x='u')}, Tensor states) -> {_GRADIENTS}",
)


@selective_scan_op.register_fake
def _(*values: Any) -> tuple[Tensor, Tensor]:
    args = ScanArgs(*values[:7])
    return _fake_outputs(args, args.x.shape[2], 1, values[8])


selective_scan_backward_op.register_fake(_fake_gradients)


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
