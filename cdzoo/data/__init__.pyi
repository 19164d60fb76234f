from .folder import FilePairs as FilePairs
from .folder import FolderPairs as FolderPairs
from .open import DataCfg as DataCfg
from .open import open_data as open_data
from .sample import Sample as Sample
from .synthetic.scenes import SyntheticScenes as SyntheticScenes
from .tiles import TiledPairs as TiledPairs
