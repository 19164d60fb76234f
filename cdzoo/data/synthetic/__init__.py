"""Procedural pairs of aerial images with known building change, generated from a seed without files or downloads.

`plan.py` generates streets and lots, `buildings.py` the labeled buildings, `surroundings.py` unlabeled objects, and `damage.py`
damage. `render.py` draws each date with the functions of `objects.py`, and `camera.py` simulates the sensor.
`labels.py` draws the targets, and `scenes.py` defines the data set.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
