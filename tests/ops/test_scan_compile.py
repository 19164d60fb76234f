"""A VSS block under torch.compile: one graph, and no copies of maps between the operators."""

from collections import Counter

import pytest
import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd

from cdzoo.layers.vss_block import VSSBlock

COPIES = {"aten.clone", "aten.contiguous", "aten.copy", "aten._to_copy", "aten.index", "aten.gather", "aten.flip", "aten.stack"}
BLOCKS = {
    "gated": {"gated": True},
    "with an MLP": {"gated": False, "mlp_ratio": 4.0},
    "omni": {"gated": True, "scan": "omni"},
    "one state": {"d_state": 1, "gated": False, "mlp_ratio": 4.0},
}


def block(name):
    torch.manual_seed(0)
    options = {"d_state": 4, "scan": "cross", **BLOCKS[name]}
    return VSSBlock(16, expand=2, drop_path=0.0, **options)


@pytest.fixture
def graphs():
    """Return a compiler backend that records the forward and backward graphs, and the list of graphs."""
    torch._dynamo.reset()
    kept = []

    def keep(module, inputs):
        kept.append(module.graph)
        return make_boxed_func(module.forward)

    yield aot_autograd(fw_compiler=keep, bw_compiler=keep), kept
    torch._dynamo.reset()


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_is_one_graph_without_copies(name, graphs):
    backend, kept = graphs
    model, x = block(name), torch.randn(2, 6, 8, 16, requires_grad=True)
    expected = model(x)
    wanted = torch.autograd.grad(expected.sum(), [x, *model.parameters()])
    y = torch.compile(model, backend=backend, fullgraph=True)(x)  # fullgraph: a graph break is an error
    grads = torch.autograd.grad(y.sum(), [x, *model.parameters()])
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(grads, wanted)
    assert len(kept) == 2
    for graph, scan in zip(kept, ("cdzoo.ss2d_scan", "cdzoo.ss2d_scan_backward"), strict=True):
        calls = Counter(str(node.target).removesuffix(".default") for node in graph.nodes if node.op == "call_function")
        assert calls[scan] == 1
        assert not {call: number for call, number in calls.items() if call.split(".Tensor")[0] in COPIES}


@pytest.mark.parametrize("name", BLOCKS)
def test_scan_receives_maps_without_copies(name, graphs):
    """The operator copies tensors that are not contiguous: only the small projections B and C, as x and delta are contiguous."""
    backend, kept = graphs
    torch.compile(block(name), backend=backend, fullgraph=True)(torch.randn(2, 6, 8, 16))
    (node,) = (n for n in kept[0].nodes if n.op == "call_function" and "ss2d_scan" in str(n.target))
    x, delta = (argument.meta["val"] for argument in node.args[:2])
    assert x.is_contiguous() and delta.is_contiguous()
