"""Refinement of the pyramid of one date, before the dates meet."""

from cdzoo.necks.csam import CSAM

__all__ = ["CSAM"]
