"""The selective scan in ONNX: the operators of `cdzoo.ops` as standard operators around one `Scan`.

The graph computes the table of the scan order from the size of the map, gathers the sequences of all directions by it, and scans
them together, so height and width stay free. A step of the recurrence has few operators, and channels are its last axis, because
onnxruntime pays for each operator and for each row. No exponent is positive, so large step sizes do not overflow.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

import cdzoo.ops  # noqa: F401  # registers the operators
from cdzoo.errors import ConfigError

DOMAIN = "cdzoo"
_BODY = """
recurrence (
    float[k, b, n, d] state, float[k, b, 1, d] dt, float[k, b, 1, d] du, float[k, b, n, 1] b_t, float[k, b, 1, n] c_t
)
    => (float[k, b, n, d] next, float[k, b, 1, d] y) {
    exponent = Mul(dt, decay)
    factor = Exp(exponent)
    kept = Mul(factor, state)
    added = Mul(b_t, du)
    next = Add(kept, added)
    y = MatMul(c_t, next)
}"""


def translations(opset: int) -> dict[Any, Callable[..., Any]]:
    """Return the translations of the scan operators, for `torch.onnx.export(custom_translation_table=...)`.

    The exporter cannot write a `Scan`, so they write a placeholder for it, which `insert_scans` replaces.
    """
    writer = _Writer(opset)
    return {
        torch.ops.cdzoo.ss2d_scan.default: _function(writer.ss2d_scan),
        torch.ops.cdzoo.selective_scan.default: _function(writer.selective_scan),
    }


def _function(method: Callable[..., Any]) -> Callable[..., Any]:
    # The exporter sets attributes of a translation, which a bound method does not allow.
    @functools.wraps(method)
    def function(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return function


def insert_scans(model: Any) -> int:
    """Replace the placeholders of an `onnx.ModelProto` by `Scan`, and return their number."""
    import onnx

    found = [node for node in model.graph.node if node.domain == DOMAIN]
    for number, node in enumerate(found):
        *inputs, decay = node.input
        body = onnx.parser.parse_graph(_BODY)
        for inner in body.node:  # names are unique within a model; the decay is a value of the outer graph
            inner.input[:] = [decay if name == "decay" else f"{name}_{number}" for name in inner.input]
            inner.output[:] = [f"{name}_{number}" for name in inner.output]
        for value in (*body.input, *body.output):
            value.name = f"{value.name}_{number}"
        attributes = {"body": body, "num_scan_inputs": 4}
        state = f"{node.output[0]}_state"
        node.CopyFrom(onnx.helper.make_node("Scan", inputs, [state, node.output[0]], name=node.name, **attributes))
    kept = [entry for entry in model.opset_import if entry.domain != DOMAIN]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    return len(found)


class _Writer:
    """Writes the operators of a graph that is being exported; values are symbolic tensors.

    Shapes: K directions, N states, D channels, L steps, batch B.
    """

    def __init__(self, opset: int) -> None:
        import onnxscript
        from onnx.defs import OpSchema

        self.op = onnxscript.values.Opset("", opset)
        *inputs, output = (OpSchema.FormalParameter(name, "T") for name in ("state", "dt", "du", "b", "c", "decay", "y"))
        kinds = [("T", ["tensor(float)", "tensor(double)"], "")]
        schema = OpSchema("Recurrence", DOMAIN, 1, inputs=inputs, outputs=[output], type_constraints=kinds)
        self.recurrence = onnxscript.values.Op(onnxscript.values.Opset(DOMAIN, 1), "Recurrence", schema)

    def ss2d_scan(
        self,
        x: Any,
        delta: Any,
        A: Any,
        B: Any,
        C: Any,
        D: Any = None,
        delta_bias: Any = None,
        delta_softplus: bool = True,
        order: str = "cross",
        save_states: bool = False,
    ) -> Any:
        """Write the scan of a map, see `cdzoo.ops.ss2d_scan`."""
        op = self.op
        height, width = op.Shape(x, start=1, end=2), op.Shape(x, start=2, end=3)
        length, directions = op.Mul(height, width), op.Shape(A, start=0, end=1)
        table = op.Transpose(self.table(order, height, width, length), perm=[1, 0])  # (L, K)
        direction = self.arange(directions)
        by_direction = op.Add(table, op.Mul(direction, length))  # row of (K L, ...)
        by_position = op.Add(op.Mul(table, directions), direction)  # row of (L K, ...)

        def rows(values: Any, perm: list[int], index: Any) -> Any:  # (..., D) -> (L, K, B, D)
            moved = op.Transpose(values, perm=perm)
            return op.Gather(op.Reshape(moved, self.shape(self.ints(-1), op.Shape(moved, start=-2))), index, axis=0)

        if delta_bias is not None:
            delta = op.Add(delta, op.Unsqueeze(delta_bias, self.ints(1, 2, 3)))
        dt = self.softplus(delta) if delta_softplus else delta
        du = op.Mul(dt, x)
        dt, du = (rows(values, [0, 2, 3, 1, 4], by_direction) for values in (dt, du))
        b, c = (rows(values, [1, 2, 3, 0, 4], by_position) for values in (B, C))
        y = self.scan(dt, du, b, c, A)
        # Back to the map: position p of direction k was read at step place[p, k].
        steps = op.Expand(op.Unsqueeze(self.arange(length), self.ints(1)), op.Shape(table))
        place = op.ScatterElements(table, table, steps, axis=0)
        place = op.Add(op.Mul(place, directions), direction)
        y = op.Gather(op.Reshape(y, self.shape(self.ints(-1), op.Shape(y, start=2))), place, axis=0)  # (L, K, B, D)
        y = op.Transpose(op.ReduceSum(y, self.ints(1), keepdims=0), perm=[1, 0, 2])
        y = op.Reshape(y, op.Shape(x))
        if D is not None:
            y = op.Add(y, op.Mul(x, op.ReduceSum(D, self.ints(0), keepdims=0)))
        return y, self.no_states(x)

    def selective_scan(
        self,
        u: Any,
        delta: Any,
        A: Any,
        B: Any,
        C: Any,
        D: Any = None,
        delta_bias: Any = None,
        delta_softplus: bool = False,
        save_states: bool = False,
    ) -> Any:
        """Write the scan of sequences (B, D, L) whose channels form G groups: each is a direction of D / G channels."""
        op = self.op
        groups = op.Shape(B, start=1, end=2)

        def by_group(values: Any) -> Any:  # (B, D, L) -> (L, G, B, D / G)
            split = self.shape(op.Shape(values, end=1), groups, self.ints(-1), op.Shape(values, start=2))
            return op.Transpose(op.Reshape(values, split), perm=[3, 1, 0, 2])

        if delta_bias is not None:
            delta = op.Add(delta, op.Unsqueeze(delta_bias, self.ints(1)))
        dt = self.softplus(delta) if delta_softplus else delta
        b, c = (op.Transpose(values, perm=[3, 1, 0, 2]) for values in (B, C))
        decay = op.Reshape(A, self.shape(groups, self.ints(-1), op.Shape(A, start=1)))
        y = self.scan(by_group(dt), by_group(op.Mul(dt, u)), b, c, decay)
        y = op.Reshape(op.Transpose(y, perm=[2, 1, 3, 0]), op.Shape(u))
        if D is not None:
            y = op.Add(y, op.Mul(u, op.Unsqueeze(D, self.ints(1))))
        return y, self.no_states(u)

    def scan(self, dt: Any, du: Any, b: Any, c: Any, A: Any) -> Any:
        """Write the recurrence: dt and du (L, K, B, D), b and c (L, K, B, N), A (K, D, N) -> (L, K, B, D)."""
        op, row, column = self.op, self.ints(3), self.ints(4)
        decay = op.Unsqueeze(op.Transpose(A, perm=[0, 2, 1]), self.ints(1))  # (K, 1, N, D)
        size = self.shape(op.Shape(b, start=1), op.Shape(dt, start=3))
        state = op.Expand(op.CastLike(op.Constant(value_float=0.0), dt), size)
        sequences = (op.Unsqueeze(dt, row), op.Unsqueeze(du, row), op.Unsqueeze(b, column), op.Unsqueeze(c, row))
        return op.Squeeze(self.recurrence(state, *sequences, decay), row)

    def softplus(self, x: Any) -> Any:
        """Write max(x, 0) + log1p(e), e = exp(-|x|); the `Softplus` of onnxruntime takes longer."""
        op = self.op
        one, smallest = op.Constant(value_float=1.0), op.Constant(value_float=1e-38)
        e = op.Exp(op.Neg(op.Abs(x)))
        u = op.Add(e, one)
        log1p = op.Mul(op.Log(u), op.Div(e, op.Max(op.Sub(u, one), smallest)))  # the factor undoes the rounding of 1 + e
        return op.Add(op.Relu(x), log1p)

    def table(self, order: str, height: Any, width: Any, length: Any) -> Any:
        """Write the table (K, L) of a scan order, see `cdzoo.ops.orders`.

        Raises:
            ConfigError: The order has no ONNX form.
        """
        op, line = self.op, self.ints(1, -1)
        positions = self.arange(length)
        grid = op.Reshape(positions, self.shape(height, width))
        rows = op.Reshape(positions, line)
        if order == "corners":
            mirrored = op.Reshape(self.reverse(grid), line)
            return op.Concat(rows, self.reverse(rows), mirrored, self.reverse(mirrored), axis=0)
        if order not in ("cross", "omni"):
            raise ConfigError(f"the scan order '{order}' has no ONNX form; use cross, corners or omni")
        ahead = op.Concat(rows, op.Reshape(op.Transpose(grid, perm=[1, 0]), line), axis=0)
        paths = [ahead, self.reverse(ahead)]
        if order == "omni":
            row, step = self.arange(height), op.Unsqueeze(self.arange(width), self.ints(1))
            starts = op.Mul(row, width)
            columns = (op.Mod(move(step, row), width) for move in (op.Add, op.Sub))
            diagonals = op.Concat(*(op.Reshape(op.Add(starts, column), line) for column in columns), axis=0)
            paths += [diagonals, self.reverse(diagonals)]
        return op.Concat(*paths, axis=0)

    def reverse(self, values: Any) -> Any:
        """Write the reversal of the last axis."""
        return self.op.Slice(values, self.ints(-1), self.ints(-(2**31)), self.ints(-1), self.ints(-1))

    def arange(self, end: Any) -> Any:
        """Write the numbers from 0 to the one in a tensor (1,)."""
        return self.op.Range(self.op.Constant(value_int=0), self.op.Squeeze(end), self.op.Constant(value_int=1))

    def shape(self, *parts: Any) -> Any:
        """Write a shape from tensors of its axes."""
        return self.op.Concat(*parts, axis=0)

    def ints(self, *values: int) -> Any:
        """Write a tensor of integers."""
        return self.op.Constant(value_ints=list(values))

    def no_states(self, like: Any) -> Any:
        """Write the second output of the operators, which only training uses."""
        return self.op.CastLike(self.op.Constant(value_floats=[0.0]), like)
