"""`Branch`: additional output of a change detector, and those that a task needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from cdzoo.compatibility import check_fit, describe
from cdzoo.components import Fusion, Head, Pyramid, PyramidComponent
from cdzoo.config import ComponentCfg, ModelCfg
from cdzoo.errors import ConfigError
from cdzoo.tasks import Task

DEFAULT_DECODER = ComponentCfg("top_down", {"channels": 64})
DEFAULT_HEAD = ComponentCfg("conv")
"""Decoder and head of the branches of models that name no others."""


class Branch(nn.Module):
    """Additional output of a model, computed from the pyramids of some dates; `Branches` computes it.

    Args:
        head: Predicts the output; None for the head of the branch `like`.
        dates: Indices of the dates; the first date by default.
        fusion: Combines their pyramids; may be omitted for one date.
        decoder: Refines the pyramid; None for no decoder, or for that of the branch `like`.
        like: Name of another branch of the model whose head, and decoder if this branch has none, are used with shared weights.

    Raises:
        ConfigError: There are several dates but no fusion, or there is neither a head nor `like`.
    """

    def __init__(
        self,
        head: Head | None,
        dates: Sequence[int] = (0,),
        fusion: Fusion | None = None,
        decoder: PyramidComponent | None = None,
        like: str = "",
    ) -> None:
        super().__init__()
        if fusion is None and len(dates) != 1:
            raise ConfigError(f"a branch of {len(dates)} dates requires a fusion")
        if head is None and not like:
            raise ConfigError("a branch requires a head, or the name of another branch whose head it uses (like=...)")
        self.head, self.dates, self.fusion, self.decoder, self.like = head, tuple(dates), fusion, decoder, like


class Branches(nn.ModuleDict):
    """Branches of a model by name, some of which use components of others."""

    def features_of(self, name: str, pyramids: Sequence[Pyramid]) -> Pyramid:
        """Return the input of the head of a branch, given the pyramids of all dates."""
        branch: Any = self[name]
        chosen = [pyramids[date] for date in branch.dates]
        features = chosen[0] if branch.fusion is None else branch.fusion(*chosen)
        decoder = self._component(name, "decoder")
        return features if decoder is None else decoder(features)

    def head_of(self, name: str) -> Head:
        """Return the head of a branch: `forward(features, size) -> (B, K, H, W)`."""
        return self._component(name, "head")

    def _component(self, name: str, role: str) -> Any:
        branch: Any = self[name]
        own = getattr(branch, role)
        return getattr(self[branch.like], role) if own is None and branch.like else own


def fill_branches(config: ModelCfg, task: Task) -> ModelCfg:
    """Return a config without branches if its task needs none, else with the default decoder and head if it names no head."""
    if len(task.outputs(config.num_classes)) == 1:
        return dataclasses.replace(config, branch_decoder=None, branch_head=None)
    if config.branch_head is not None:
        return config
    return dataclasses.replace(config, branch_decoder=config.branch_decoder or DEFAULT_DECODER, branch_head=DEFAULT_HEAD)


def check_branches(task: Task, num_classes: int, branches: Mapping[str, Any]) -> None:
    """Raise `ConfigError` unless there is a branch for each output that the task needs beside the main one."""
    outputs = task.outputs(num_classes)
    if missing := [name for name in outputs if name != task.main_output and name not in branches]:
        raise ConfigError(
            f"the task '{task.name}' has the outputs {', '.join(outputs)}, but the model has no branch '{missing[0]}': pass "
            f'branches={{"{missing[0]}": Branch(head, dates)}}, or build the model with create_model(..., task="{task.name}")'
        )
    for name, (classes, _) in outputs.items():
        head = branches[name].head if name in branches else None
        if head is not None and head.num_classes != classes:
            raise ConfigError(f"the branch '{name}' has {head.num_classes} logits, the task '{task.name}' needs {classes}")


def check_branch(name: str, source: str, channels: Sequence[int], strides: Sequence[int] | None, branch: Branch) -> None:
    """Raise `ChannelMismatchError` unless the components of a branch accept the pyramid of one date."""
    components: list[tuple[str, PyramidComponent | None]] = [("fusion", branch.fusion), ("decoder", branch.decoder)]
    for role, component in components:
        if component is not None:
            check_fit(source, channels, strides, f"{role} {describe(component)} of the branch '{name}'", component)
            channels, strides = component.out_channels, component.out_strides or strides
            source = f"{role} {describe(component)} of the branch '{name}'"
    if branch.head is not None:
        check_fit(source, channels, strides, f"head {describe(branch.head)} of the branch '{name}'", branch.head)
