from .config import PolygonCfg as PolygonCfg
from .config import SceneCfg as SceneCfg
from .predict import SceneResult as SceneResult
from .predict import predict_scene as predict_scene
