"""Layers that at least two parts share."""

from cdzoo.layers.conv import ConvBNReLU, kaiming_init_

__all__ = ["ConvBNReLU", "kaiming_init_"]
