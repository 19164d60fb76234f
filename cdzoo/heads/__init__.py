"""From a pyramid to logits at input size."""

from cdzoo.heads.summation import Summation

__all__ = ["Summation"]
