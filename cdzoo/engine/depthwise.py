"""Depthwise convolutions of a training in bfloat16 on the CPU, whose gradients are faster in fp32."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def keep_depthwise(model: nn.Module) -> None:
    """Compute the depthwise convolutions of a model in fp32 within bfloat16 autocast on the CPU.

    Their inputs and outputs stay in bfloat16, and weights in fp32. Gradients of most depthwise kernels, those of 5x5 or with a
    stride, are slower in bfloat16 than in fp32 there; `benchmarks/train_step.py` measures what that means for a step.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1 and "forward" not in vars(module):
            module.forward = _in_fp32(module.forward)  # type: ignore[assignment, method-assign]


def release_depthwise(model: nn.Module) -> None:
    """Undo `keep_depthwise`."""
    for module in model.modules():
        if getattr(vars(module).get("forward"), "keeps_depthwise", False):
            del module.forward


def _in_fp32(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def computed(x: Tensor) -> Tensor:
        if not (x.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
            return forward(x)
        with torch.autocast("cpu", enabled=False):
            return forward(x.float()).to(torch.get_autocast_dtype("cpu"))

    computed.keeps_depthwise = True  # type: ignore[attr-defined]
    return computed
