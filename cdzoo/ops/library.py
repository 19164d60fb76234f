"""The two scan operators registered with PyTorch.

Autograd, torch.compile, torch.export and FLOP counters see one operator, ``cdzoo::ss2d_scan`` or ``cdzoo::selective_scan``, for
every backend; its backward pass is an operator too. Both operators return ``(y, states)``: the states saved for the backward pass
(fp32), empty if no gradient is needed. They are flattened, because with an axis of chunks an exported program would accept either
maps of one chunk or maps of several, not both.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor

from cdzoo.ops.args import CHUNK, Gradients, ScanArgs, check_flat, check_map, check_sequence, check_tensors, expect
from cdzoo.ops.backends import backend_for
from cdzoo.ops.orders import line_index, num_directions, scan_index


def _plain(device: torch.device) -> torch.autocast:
    # Autocast stays enabled inside an operator and would compute the products of the reference in half precision.
    return torch.autocast(device.type, enabled=False)


def _prepare(args: ScanArgs) -> tuple[ScanArgs, ModuleType]:
    """Return contiguous tensors in the types that the backend reads, and the backend."""
    dtype = args.compute_dtype()
    module = backend_for(args.x.device.type, dtype)
    kept = (torch.float16, torch.bfloat16) if getattr(module, "READS_HALF", False) and dtype == torch.float32 else ()
    found = {
        name: (tensor if name in ("x", "delta", "B", "C") and tensor.dtype in kept else tensor.to(dtype)).contiguous()
        for name, tensor in args.present()
    }
    return args._replace(**found), module


def _run_forward(args: ScanArgs, index: Tensor, softplus: bool, save: bool) -> tuple[Tensor, Tensor]:
    tensors, module = _prepare(args)
    check_flat(tensors, index)
    if tensors.x.numel() == 0:
        return torch.empty_like(tensors.x), tensors.A.new_empty(0)
    with _plain(args.x.device):
        return module.forward(tensors, index, softplus, save)


def _run_backward(grad_y: Tensor, args: ScanArgs, index: Tensor, softplus: bool, states: Tensor) -> Gradients:
    tensors, module = _prepare(args)
    check_flat(tensors, index, grad_y)
    x, dtype = tensors.x, args.compute_dtype()
    if x.numel() == 0:
        return cast(Gradients, tuple(None if t is None else torch.zeros_like(t) for t in tensors))
    batch, length, channels = x.shape
    shape = torch.Size((len(index), batch, -(-length // CHUNK), channels, tensors.A.shape[2]))
    with _plain(x.device):
        if states.numel() == 0:  # the forward pass was called without save_states: repeat it
            states = module.forward(tensors, index, softplus, True)[1]
        if states.numel() != shape.numel() or states.dtype != dtype:
            raise ValueError(f"states must have {shape.numel()} elements in {dtype}, got {states.numel()} in {states.dtype}")
        saved = states.reshape(shape).contiguous()
        return module.backward(grad_y.to(x.dtype).contiguous(), tensors, index, softplus, saved)


def _finish(grads: Gradients, inputs: ScanArgs) -> tuple[Tensor, ...]:
    """Return gradients in the shapes and types of their inputs; an empty tensor for an absent D or delta_bias."""
    pairs = zip(grads, inputs, strict=True)
    return tuple(
        inputs.x.new_empty(0) if t is None or g is None else g.to(t.dtype).reshape(t.shape).contiguous() for g, t in pairs
    )


def _flatten_map(args: ScanArgs, order: str, **others: Tensor) -> tuple[Tensor, ScanArgs]:
    """Check a map; return the scan index and the tensors with one axis of positions."""
    check_tensors(args, **others)
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
    index, flat = _flatten_map(args, order, grad_y=grad_y, states=states)
    expect("grad_y", grad_y, "B, H, W, Dm", dict(zip(("B", "H", "W", "Dm"), args.x.shape, strict=True)))
    return _finish(_run_backward(grad_y.flatten(1, 2), flat, index, softplus, states), args)


def _split_groups(args: ScanArgs, **others: Tensor) -> tuple[Tensor, list[ScanArgs]]:
    """Check sequences; return the scan index and one map of one direction per group of channels that share B and C."""
    check_tensors(args, **others)
    check_sequence(args)
    count = args.B.shape[1]
    x, delta = (t.transpose(1, 2).chunk(count, 2) for t in (args.x, args.delta))  # (B, L, D / G)
    A = args.A.unsqueeze(0).chunk(count, 1)  # (1, D / G, N)
    D, bias = ([None] * count if t is None else t.unsqueeze(0).chunk(count, 1) for t in (args.D, args.delta_bias))
    B, C = (t.permute(1, 0, 3, 2).unsqueeze(3) for t in (args.B, args.C))  # (G, B, L, 1, N)
    groups = [ScanArgs(x[g], delta[g].unsqueeze(0), A[g], B[g], C[g], D[g], bias[g]) for g in range(count)]
    return line_index(args.x.shape[2], str(args.x.device)), groups


def _sequence_forward(*values: Any) -> tuple[Tensor, Tensor]:
    args, (softplus, save) = ScanArgs(*values[:7]), values[7:]
    index, groups = _split_groups(args)
    outs, states = zip(*(_run_forward(group, index, softplus, save) for group in groups), strict=True)
    y = torch.cat(outs, dim=2).transpose(1, 2).to(args.x.dtype).contiguous()
    return y, torch.cat(states).flatten()  # the states of a group: (B, chunks, D / G, N)


def _sequence_backward(grad_y: Tensor, *values: Any) -> tuple[Tensor, ...]:
    args, (softplus, states) = ScanArgs(*values[:7]), values[7:]
    index, groups = _split_groups(args, grad_y=grad_y, states=states)
    count = len(groups)
    expect("grad_y", grad_y, "B, D, L", dict(zip(("B", "D", "L"), args.x.shape, strict=True)))
    grads = grad_y.transpose(1, 2).chunk(count, 2)
    saved = states.tensor_split(count)
    runs = (_run_backward(grads[g], group, index, softplus, saved[g]) for g, group in enumerate(groups))
    du, ddelta, dA, dB, dC, dD, dbias = zip(*runs, strict=True)
    joined = (
        torch.cat(du, 2).transpose(1, 2),
        torch.cat(ddelta, 3).squeeze(0).transpose(1, 2),
        torch.cat(dA, 1),
        torch.cat(dB, 2).permute(0, 2, 3, 1),  # (B, L, G, N) -> (B, G, N, L)
        torch.cat(dC, 2).permute(0, 2, 3, 1),
        None if args.D is None else torch.cat(dD, 1),
        None if args.delta_bias is None else torch.cat(dbias, 1),
    )
    return _finish(joined, args)


def _fake_forward(*values: Any) -> tuple[Tensor, Tensor]:
    """Return outputs of the right shapes for maps (B, H, W, Dm), with a scan order in `values`, or sequences (B, D, L)."""
    args, (_, *order, save) = ScanArgs(*values[:7]), values[7:]
    x = args.x
    check_tensors(args)
    if order:
        check_map(args, num_directions(*order))
        directions, steps, channels = num_directions(*order), x.shape[1] * x.shape[2], x.shape[3]
    else:
        check_sequence(args)
        directions, steps, channels = 1, x.shape[2], x.shape[1]
    size = directions * x.shape[0] * ((steps + CHUNK - 1) // CHUNK) * channels * args.A.shape[-1] if save else 0
    return x.new_empty(x.shape), x.new_empty(size, dtype=args.compute_dtype())


def _fake_backward(grad_y: Tensor, *values: Any) -> tuple[Tensor, ...]:
    args, (*_, states) = ScanArgs(*values[:7]), values[7:]
    check_tensors(args, grad_y=grad_y, states=states)
    return tuple(args.x.new_empty(0) if t is None else t.new_empty(t.shape) for t in args)


def _save_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    tensors, (*ctx.options, _) = inputs[:7], inputs[7:]
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*tensors, output[1])


def _register(name: str, forward: Callable[..., Any], backward: Callable[..., Any], first: str, options: str) -> tuple[Any, Any]:
    """Register an operator and its backward pass; `first` is the name of the first tensor, `options` are further inputs."""
    # torch could derive the schemas, but only from signatures that repeat every tensor.
    inputs = f"Tensor {first}, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? delta_bias, bool delta_softplus"
    schema = f"({inputs}{options}, bool save_states) -> (Tensor, Tensor)"
    scan = torch.library.custom_op(f"cdzoo::{name}", forward, mutates_args=(), schema=schema)
    schema = f"(Tensor grad_y, {inputs}{options}, Tensor states) -> ({', '.join(['Tensor'] * 7)})"
    scan_backward = torch.library.custom_op(f"cdzoo::{name}_backward", backward, mutates_args=(), schema=schema)

    def differentiate(ctx: Any, grad_y: Tensor, _: Tensor | None) -> tuple[Any, ...]:
        *tensors, states = ctx.saved_tensors
        grads = scan_backward(grad_y, *tensors, *ctx.options, states)
        kept = [None if t is None else g for g, t in zip(grads, tensors, strict=True)]
        return (*kept, *(None for _ in ctx.options), None)

    scan.register_fake(_fake_forward)
    scan_backward.register_fake(_fake_backward)
    scan.register_autograd(differentiate, setup_context=_save_for_backward)
    return scan, scan_backward


ss2d_scan_op, ss2d_scan_backward_op = _register("ss2d_scan", _map_forward, _map_backward, "x", ", str order")
selective_scan_op, selective_scan_backward_op = _register("selective_scan", _sequence_forward, _sequence_backward, "u", "")
