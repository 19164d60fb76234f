from .csam import CSAM as CSAM
from .linear import Linear as Linear
from .upsample import Upsample as Upsample
