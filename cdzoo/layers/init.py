"""Initialisations that whole parts take."""

from __future__ import annotations

from torch import nn

_CONVS = (nn.Conv2d, nn.ConvTranspose2d)


def kaiming_init_(module: nn.Module) -> None:
    """Kaiming-initialise every convolution below `module` in place (He et al., 2015), with zero biases.

    Batch norms keep PyTorch's default, which is ones and zeros.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def normal_init_(module: nn.Module, std: float = 0.02) -> None:
    """Draw every convolution and linear layer below `module` from N(0, std) and batch norms from N(1, std), biases zero.

    It is what the authors' code of BIT and ChangeFormer does to the whole network before training.
    """
    for layer in module.modules():
        if isinstance(layer, (*_CONVS, nn.Linear, nn.BatchNorm2d)):
            nn.init.normal_(layer.weight, 1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def truncated_init_(module: nn.Module, std: float = 0.02) -> None:
    """Draw every linear layer below `module` from a normal distribution cut at 2, biases zero, as VMamba does."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
