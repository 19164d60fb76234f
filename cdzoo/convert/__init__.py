"""Official checkpoints of published networks into the zoo's models, and back."""

from cdzoo.convert.backbone import backbone_from_official
from cdzoo.convert.official import convertible, from_official, to_official

__all__ = ["backbone_from_official", "convertible", "from_official", "to_official"]
