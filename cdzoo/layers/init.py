"""Weight initialization schemes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

CHANGE_PRIOR = 0.05
"""Share of changed pixels that classifiers start from; about that of LEVIR-CD."""


def kaiming_init_(module: nn.Module) -> None:
    """Initialize the weights of all convolutions in `module` with Kaiming normal (fan out, ReLU) and their biases with zeros.

    Batch normalization layers keep PyTorch's default, weight 1 and bias 0.

    Source: K. He et al., "Delving Deep into Rectifiers", ICCV 2015.
    """
    _initialize(module, (nn.Conv2d,), lambda layer: nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu"))


def normal_init_(module: nn.Module) -> None:
    """Initialize convolutions and linear layers from N(0, 0.02^2), batch norm weights from N(1, 0.02^2), and biases with zeros.

    The official code of BIT and ChangeFormer initializes the whole network this way.
    """
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d)
    _initialize(module, kinds, lambda layer: nn.init.normal_(layer.weight, float(isinstance(layer, nn.BatchNorm2d)), 0.02))


def truncated_init_(module: nn.Module) -> None:
    """Initialize linear layers in `module` from N(0, 0.02^2) truncated to [-2, 2] and their biases with zeros, as in VMamba."""
    _initialize(module, (nn.Linear,), lambda layer: nn.init.trunc_normal_(layer.weight, std=0.02))


@torch.no_grad()
def prior_init_(layer: Any) -> None:
    """Initialize a classifier so that an untrained model predicts the prior of change everywhere, up to small differences.

    Args:
        layer: Convolution or transposed convolution, whose output channels are the classes. Without a bias, all classes are
            equally likely.

    Weights are drawn from N(0, 0.1^2 / fan in), so that features of any usual size change the logits little. Biases are the
    logits of 5 % change for one or two classes, and 0 for more.

    Source: T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, section 4.1.
    """
    classes, logit = layer.out_channels, math.log(CHANGE_PRIOR / (1 - CHANGE_PRIOR))
    nn.init.normal_(layer.weight, std=0.1 * (classes / layer.weight.numel()) ** 0.5)
    if layer.bias is None:
        return
    nn.init.zeros_(layer.bias)
    if classes == 1:
        layer.bias.fill_(logit)
    elif classes == 2:  # softmax: the difference counts
        layer.bias.copy_(torch.tensor([-logit / 2, logit / 2]))


def _initialize(module: nn.Module, kinds: tuple[type[nn.Module], ...], initialize_weight: Callable[[Any], object]) -> None:
    for layer in module.modules():
        if isinstance(layer, kinds):
            initialize_weight(layer)
            if isinstance(layer.bias, Tensor):
                nn.init.zeros_(layer.bias)
