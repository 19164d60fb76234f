from .csam import CSAM as CSAM
from .enlarge import Enlarge as Enlarge
from .linear import Linear as Linear
