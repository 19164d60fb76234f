"""Weight initialization schemes."""

from __future__ import annotations

from torch import nn


def kaiming_init_(module: nn.Module) -> None:
    """Initialize the weights of all convolutions in `module` with Kaiming normal (fan out, ReLU) and their biases with zeros.

    Batch normalization layers keep PyTorch's default, weight 1 and bias 0.

    Source: K. He et al., "Delving Deep into Rectifiers", ICCV 2015.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def normal_init_(module: nn.Module, std: float = 0.02) -> None:
    """Initialize convolutions and linear layers in `module` from N(0, std^2), batch norm weights from N(1, std^2), biases with 0.

    The official code of BIT and ChangeFormer initializes the whole network this way.

    Args:
        module: Module to initialize in place.
        std: Standard deviation.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def truncated_init_(module: nn.Module, std: float = 0.02) -> None:
    """Initialize linear layers in `module` from a normal distribution truncated to [-2, 2] and biases with 0, as in VMamba.

    Args:
        module: Module to initialize in place.
        std: Standard deviation before truncation.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
