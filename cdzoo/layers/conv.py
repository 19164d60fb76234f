"""Convolution, batch norm, ReLU; and the initialisation used outside the Mamba backbone."""

from __future__ import annotations

from torch import nn


class ConvBNReLU(nn.Sequential):
    """ReLU(BN(Conv(x))): (B, in_channels, H, W) -> (B, out_channels, H, W), size kept.

    The convolution has no bias, since the batch norm after it has one.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


def kaiming_init_(module: nn.Module) -> None:
    """Kaiming-initialise every convolution below `module` in place (He et al., 2015), with zero biases.

    Batch norms keep PyTorch's default, which is ones and zeros.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
