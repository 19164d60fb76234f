from .concat_up import ConcatUp as ConcatUp
from .csie import CSIE as CSIE
from .mix_ffn import MixFFN as MixFFN
from .top_down import TopDown as TopDown
from .unet import UNetDecoder as UNetDecoder
