"""Procedural pairs of aerial images with known building change, generated from a seed without files or downloads.

`plan.py` generates streets and lots, `buildings.py` the labeled buildings, and `surroundings.py` unlabeled objects. `render.py`
draws each date with the functions of `objects.py`, `camera.py` simulates the sensor, and `scenes.py` defines the data set.
"""

from cdzoo.data.synthetic.scenes import Scene, SyntheticScenes, make_scene

__all__ = ["Scene", "SyntheticScenes", "make_scene"]
