from .area import scene_area as scene_area
from .config import PolygonCfg as PolygonCfg
from .config import SceneCfg as SceneCfg
from .footprints import footprint_table as footprint_table
from .predict import predict_scene as predict_scene
from .result import SceneResult as SceneResult
from .series import SeriesResult as SeriesResult
from .series import predict_series as predict_series
