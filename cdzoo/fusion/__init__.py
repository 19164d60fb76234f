"""How the two dates meet; one module per pyramid level unless a part says otherwise."""

from cdzoo.fusion.bfa import BFA
from cdzoo.fusion.cbam import CBAM, CBAMFusion
from cdzoo.fusion.cross_attention import CrossAttention
from cdzoo.fusion.plain import AbsDiff, Concat, Diff, Sum

__all__ = ["BFA", "CBAM", "AbsDiff", "CBAMFusion", "Concat", "CrossAttention", "Diff", "Sum"]
