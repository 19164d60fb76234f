from .change_guide import ChangeGuide as ChangeGuide
from .concat_up import ConcatUp as ConcatUp
from .csie import CSIE as CSIE
from .ifn import IFNDecoder as IFNDecoder
from .seifnet import SEIFNetDecoder as SEIFNetDecoder
from .top_down import TopDown as TopDown
from .unet import UNetDecoder as UNetDecoder
from .upernet import UPerNet as UPerNet
