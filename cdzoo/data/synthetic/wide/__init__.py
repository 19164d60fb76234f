"""Scenes of many regions, resolutions and sensors: `SyntheticScenes(style="wide")`. Lengths are in meters."""

from cdzoo.data.synthetic.wide.scene import make_wide_scene

__all__ = ["make_wide_scene"]
