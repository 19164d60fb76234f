from .changeformer import ChangeFormerHead as ChangeFormerHead
from .conv import Conv as Conv
from .fcn import FCN as FCN
from .fpn import FPNHead as FPNHead
from .pixel_mlp import PixelMLPHead as PixelMLPHead
from .stepwise import Stepwise as Stepwise
from .summation import Summation as Summation
