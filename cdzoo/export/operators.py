"""Operators of PyTorch in ONNX that `torch.onnx` translates only after it has decomposed them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

_FLOAT = 1  # of `onnx.TensorProto`


def operator_translations(opset: int) -> dict[Any, Callable[..., Any]]:
    """Return translations of operators in evaluation mode, for `torch.onnx.export(custom_translation_table=...)`."""
    import onnxscript

    op = onnxscript.values.Opset("", opset)

    def batch_norm(
        x: Any,
        weight: Any,
        bias: Any,
        mean: Any,
        var: Any,
        training: bool,
        momentum: float,
        eps: float,
        cudnn_enabled: bool = True,
    ) -> Any:
        if weight is None:
            weight = op.Expand(op.CastLike(op.Constant(value_floats=[1.0]), x), op.Shape(mean))
        if bias is None:
            bias = op.Expand(op.CastLike(op.Constant(value_floats=[0.0]), x), op.Shape(mean))
        y, *_ = op.BatchNormalization(x, weight, bias, mean, var, epsilon=eps)
        return y

    def bitwise_and(x: Any, other: Any) -> Any:
        return op.And(x, other)

    def channel_shuffle(x: Any, groups: int) -> Any:  # (N, G, C / G, H, W) -> (N, C / G, G, H, W)
        split = op.Concat(op.Shape(x, end=1), op.Constant(value_ints=[groups, -1]), op.Shape(x, start=2), axis=0)
        return op.Reshape(op.Transpose(op.Reshape(x, split), perm=[0, 2, 1, 3, 4]), op.Shape(x))

    def conv_transpose2d(
        x: Any,
        weight: Any,
        bias: Any = None,
        stride: Sequence[int] = (1, 1),
        padding: Sequence[int] = (0, 0),
        output_padding: Sequence[int] = (0, 0),
        groups: int = 1,
        dilation: Sequence[int] = (1, 1),
    ) -> Any:
        sides = {"strides": stride, "output_padding": output_padding, "dilations": dilation, "pads": [*padding, *padding]}
        return op.ConvTranspose(x, weight, bias, group=groups, **{name: list(values) for name, values in sides.items()})

    def div(x: Any, other: Any) -> Any:
        if not x.dtype.is_floating_point():
            x = op.Cast(x, to=_FLOAT)
        return op.Div(x, op.CastLike(other, x))

    def feature_dropout(x: Any, p: float, train: bool) -> Any:
        return op.Identity(x)

    def rsub(x: Any, other: float, alpha: float = 1) -> Any:
        return op.Sub(op.CastLike(op.Constant(value_float=other), x), op.Mul(x, op.CastLike(op.Constant(value_float=alpha), x)))

    def square(x: Any) -> Any:
        return op.Mul(x, x)

    def to_dtype(
        x: Any, dtype: int = -1, non_blocking: bool = False, copy: bool = False, memory_format: int | None = None
    ) -> Any:
        return op.Cast(x, to=dtype)

    aten = torch.ops.aten
    return {
        aten.batch_norm.default: batch_norm,
        aten.__and__.Tensor: bitwise_and,
        aten.channel_shuffle.default: channel_shuffle,
        aten.conv_transpose2d.input: conv_transpose2d,
        aten.div.Tensor: div,
        aten.feature_dropout.default: feature_dropout,
        aten.rsub.Scalar: rsub,
        aten.square.default: square,
        aten.to.dtype: to_dtype,
    }
