from .csam import CSAM as CSAM
from .linear import Linear as Linear
from .stanet import STANetNeck as STANetNeck
from .upsample import Upsample as Upsample
from .vit_pyramid import VitPyramidNeck as VitPyramidNeck
