"""The composed detector, and one file of recipes per family."""

from cdzoo.models import glmamba as glmamba
from cdzoo.models.detector import ChangeDetector

__all__ = ["ChangeDetector"]
