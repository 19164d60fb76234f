from .bit import BITResNet18 as BITResNet18
from .changeformer import ChangeFormerEncoder as ChangeFormerEncoder
from .features import FeatureBackbone as FeatureBackbone
from .timm import TimmBackbone as TimmBackbone
from .tinycd import TinyCDBackbone as TinyCDBackbone
from .unet import UNetEncoder as UNetEncoder
from .vmamba import VMamba as VMamba
from .vss import VSSBackbone as VSSBackbone
