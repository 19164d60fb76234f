"""The composed detector, and one file of recipes per family."""

from cdzoo.models import bit as bit
from cdzoo.models import changeformer as changeformer
from cdzoo.models import fc_siam as fc_siam
from cdzoo.models import glmamba as glmamba
from cdzoo.models import mambabcd as mambabcd
from cdzoo.models import mf_vmamba as mf_vmamba
from cdzoo.models import rsm_cd as rsm_cd
from cdzoo.models.detector import ChangeDetector

__all__ = ["ChangeDetector"]
