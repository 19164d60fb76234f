from .config import ExportCfg as ExportCfg
from .metadata import Metadata as Metadata
from .write import ExportResult as ExportResult
from .write import export_model as export_model
