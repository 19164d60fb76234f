from .config import TrainCfg as TrainCfg
from .fit import fit as fit
from .fit import train as train
from .run import run_training as run_training
from .run import score_model as score_model
