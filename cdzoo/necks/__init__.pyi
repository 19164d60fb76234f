from .csam import CSAM as CSAM
from .feature_injector import FeatureInjector as FeatureInjector
from .linear import Linear as Linear
from .nam import NAM as NAM
from .segformer import SegFormerNeck as SegFormerNeck
from .stanet import STANetNeck as STANetNeck
from .upsample import Upsample as Upsample
from .vit_pyramid import VitPyramidNeck as VitPyramidNeck
