"""Programs are translated to ONNX without the passes of the exporter: operators in place, and operators without translation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram

from cdzoo.export.functional import functional, is_in_place
from cdzoo.export.onnx_file import undecomposed
from cdzoo.export.operators import operator_translations

ort = pytest.importorskip("onnxruntime")


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def program(module: nn.Module) -> ExportedProgram:
    x = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(0))
    return torch.export.export(module.eval(), (x,), strict=False)


def activation_twice(x: Tensor) -> Tensor:
    y = x + 1
    z = y.exp()  # of the value before
    return y.relu_() + y + z


def residual(x: Tensor) -> Tensor:
    y = x * 2
    y += x
    return F.silu(y, inplace=True) - y


def of_view(x: Tensor) -> Tensor:
    y = x + 1
    z = y.flatten(1)
    y.relu_()
    return z.sum(1)


def of_image(x: Tensor) -> Tensor:
    return x.relu_()


def of_dropout(x: Tensor) -> Tensor:
    y = x + 1
    F.dropout(y, 0.5, training=False).relu_()
    return y


@pytest.mark.parametrize("function", [activation_twice, residual])
def test_operators_in_place_are_replaced(function: Callable[[Tensor], Tensor]) -> None:
    found = program(Function(function))
    assert any(is_in_place(node.target) for node in found.graph.nodes)
    graph = functional(found.graph)
    assert graph is not None and not any(is_in_place(node.target) for node in graph.nodes)
    assert any(is_in_place(node.target) for node in found.graph.nodes)  # the program itself is as it was
    x = torch.randn(2, 4, 6, 5)
    torch.testing.assert_close(torch.fx.GraphModule(found.graph_module, graph)(x)[0], function(x), rtol=0, atol=0)


@pytest.mark.parametrize("function", [of_view, of_image, of_dropout])
def test_shared_memory_is_left_alone(function: Callable[[Tensor], Tensor]) -> None:
    assert functional(program(Function(function)).graph) is None


class Norm(nn.Module):
    def __init__(self, affine: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4, affine=affine, eps=0.1)
        self.norm.running_mean = torch.randn(4)
        self.norm.running_var = torch.rand(4) + 0.5

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


UNEVEN = {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2), "groups": 2, "dilation": (1, 2)}
CASES: dict[str, Callable[[], nn.Module]] = {
    "aten.batch_norm.default": lambda: Norm(True),
    "aten.batch_norm.default without weights": lambda: Norm(False),
    "aten.__and__.Tensor": lambda: Function(lambda x: torch.where((x > 0) & (x < 1), x, -x)),
    "aten.channel_shuffle.default": lambda: Function(lambda x: F.channel_shuffle(x, 2)),
    "aten.conv_transpose2d.input": lambda: Function(nn.ConvTranspose2d(4, 6, (3, 2), **UNEVEN)),
    "aten.div.Tensor": lambda: Function(lambda x: x / x.shape[2] + x / (x.abs() + 1)),
    "aten.div.Tensor of integers": lambda: Function(lambda x: torch.arange(5) / (torch.arange(5) + 3) + x),
    "aten.feature_dropout.default": lambda: Function(nn.Dropout2d()),
    "aten.rsub.Scalar": lambda: Function(lambda x: 1.5 - x),
    "aten.rsub.Scalar with a factor": lambda: Function(lambda x: torch.rsub(x, 2, alpha=3)),
    "aten.square.default": lambda: Function(lambda x: x.square()),
    "aten.to.dtype": lambda: Function(lambda x: (x > 0).float() + x),
}


def test_cases_name_every_operator() -> None:
    assert {case.split(" ")[0] for case in CASES} == {str(operator) for operator in operator_translations(18)}


@pytest.mark.parametrize("case", CASES)
def test_operator_equals_pytorch(case: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = CASES[case]().eval()
    found = program(module)
    assert case.split(" ")[0] in {str(node.target) for node in found.graph.nodes}
    options = {"dynamo": True, "verbose": False, "opset_version": 18, "optimize": False}
    with undecomposed(found):
        written = torch.onnx.export(found, custom_translation_table=operator_translations(18), **options)
    written.save(str(tmp_path / "model.onnx"))
    session = ort.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    x = torch.randn(2, 4, 6, 5)
    output = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(output), module(x))
