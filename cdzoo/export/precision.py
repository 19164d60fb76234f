"""ONNX models with weights in fp16 or int8."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from cdzoo.errors import require
from cdzoo.export.config import Precision

_MIN_WEIGHTS = 256  # smaller tensors, such as biases, stay in fp32


def convert(model: Any, precision: Precision) -> Any:
    """Return an fp32 `onnx.ModelProto` in another precision; inputs and outputs stay fp32.

    Args:
        model: The model.
        precision: `"fp16"`: weights, while arithmetic is in fp32, as the states of selective scans exceed the range of fp16.
            `"int8"`: weights of convolutions and linear layers, whose inputs are quantized when the file runs.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
    """
    if precision == "fp32":
        return model
    require("onnxruntime", "export", f"precision={precision}")
    return _to_fp16(model) if precision == "fp16" else _to_int8(model)


def _to_fp16(model: Any) -> Any:
    import onnx

    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or math.prod(tensor.dims) < _MIN_WEIGHTS:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name, half = tensor.name, f"{tensor.name}_fp16"
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(onnx.helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *(onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node)]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _to_int8(model: Any) -> Any:
    import onnx
    import onnxruntime as ort
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        given, folded, quantized = (Path(folder) / f"{name}.onnx" for name in ("given", "folded", "quantized"))
        given.write_bytes(model.SerializeToString())
        options = ort.SessionOptions()
        options.log_severity_level = 3
        # Batch norms become part of the convolutions before them, which would otherwise be scaled after they were rounded.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folded)
        ort.InferenceSession(str(given), options, providers=["CPUExecutionProvider"])
        operators = ["Conv", "MatMul", "Gemm"]
        quantize_dynamic(str(folded), str(quantized), op_types_to_quantize=operators, weight_type=QuantType.QUInt8)
        return onnx.load(str(quantized))
