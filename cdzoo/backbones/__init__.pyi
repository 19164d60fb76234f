from .bit import BITResNet18 as BITResNet18
from .changeformer import ChangeFormerEncoder as ChangeFormerEncoder
from .features import FeatureBackbone as FeatureBackbone
from .swin import Swin as Swin
from .timm import TimmBackbone as TimmBackbone
from .unet import UNetEncoder as UNetEncoder
from .vmamba import VMamba as VMamba
from .vss import VSSBackbone as VSSBackbone
