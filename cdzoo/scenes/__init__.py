"""Scenes of any size: read part by part, predicted in tiles that are blended, written as georeferenced maps."""

from cdzoo.scenes.polygons import PolygonCfg
from cdzoo.scenes.predict import SceneCfg, SceneResult, predict_scene

__all__ = ["PolygonCfg", "SceneCfg", "SceneResult", "predict_scene"]
