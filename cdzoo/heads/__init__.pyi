from .changeformer import ChangeFormerHead as ChangeFormerHead
from .conv import Conv as Conv
from .deep_supervision import DeepSupervision as DeepSupervision
from .distance import Distance as Distance
from .fcn import FCN as FCN
from .guided import Guided as Guided
from .stepwise import Stepwise as Stepwise
from .summation import Summation as Summation
