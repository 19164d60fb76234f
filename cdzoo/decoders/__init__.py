"""Refinement of the fused pyramid."""

from cdzoo.decoders.csie import CSIE

__all__ = ["CSIE"]
