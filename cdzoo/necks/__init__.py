"""Refinement of the pyramid of one date, before the dates meet."""

from cdzoo.necks.csam import CSAM
from cdzoo.necks.enlarge import Enlarge
from cdzoo.necks.linear import Linear

__all__ = ["CSAM", "Enlarge", "Linear"]
