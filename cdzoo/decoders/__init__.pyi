from .concat_up import ConcatUp as ConcatUp
from .csie import CSIE as CSIE
from .mask_up import MaskUp as MaskUp
from .shuffle_stages import ShuffleStages as ShuffleStages
from .top_down import TopDown as TopDown
from .unet import UNetDecoder as UNetDecoder
