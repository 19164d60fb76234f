"""Scenes of any size: read in strips, predicted in tiles that are blended, written as georeferenced maps."""

from cdzoo.scenes.predict import SceneCfg, SceneResult, predict_scene

__all__ = ["SceneCfg", "SceneResult", "predict_scene"]
