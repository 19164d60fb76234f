"""Programs without operators in place."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

_RETURN_THEIR_INPUT = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
"""Operators whose schema does not say that their result may be their input."""


def functional(graph: fx.Graph) -> fx.Graph | None:
    """Return a copy of a graph with `relu` for `relu_` and so on, or None if one of its operators in place cannot be replaced.

    One can if it has such a counterpart and changes a tensor that no earlier node shares memory with.
    """
    result = fx.Graph()
    output = result.graph_copy(graph, {})
    result.output(output)
    order = {node: number for number, node in enumerate(result.nodes)}
    for node in list(result.nodes):
        if not is_in_place(node.target):
            continue
        changed, counterpart = node.args[0], _counterpart(node.target)
        if counterpart is None or not isinstance(changed, fx.Node) or changed.op != "call_function":
            return None
        earlier = [user for user in changed.users if order[user] < order[node]]
        if any(_may_be_view(other.target) for other in (changed, *earlier)):
            return None
        node.target = counterpart
        for user in [user for user in changed.users if order[user] > order[node]]:
            user.replace_input_with(changed, node)
    return result


def is_in_place(target: Any) -> bool:
    """Return whether the target of a node is an operator that changes a tensor."""
    return getattr(getattr(target, "_schema", None), "is_mutable", False)


def _counterpart(target: Any) -> Any:
    """Return the operator that returns what an operator in place writes, None if there is none."""
    namespace, name = target._schema.name.split("::")
    packet = getattr(getattr(torch.ops, namespace), name.removesuffix("_"), None)
    found = getattr(packet, target._overloadname, None) if name.endswith("_") else None
    if found is None or len(found._schema.arguments) != len(target._schema.arguments):
        return None
    return found


def _may_be_view(target: Any) -> bool:
    """Return whether the result of an operator may share memory with its input."""
    schema = getattr(target, "_schema", None)
    if schema is None or schema.name.partition("::")[2] in _RETURN_THEIR_INPUT:
        return True
    return any(value.alias_info is not None and not value.alias_info.is_write for value in schema.returns)
