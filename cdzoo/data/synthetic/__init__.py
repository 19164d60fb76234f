"""Procedural bitemporal scenes: pairs with known change, from a seed, without a file or a network.

`plan.py` lays streets and lots, `settle.py` puts buildings on them (the only thing that is labelled) and `furnish.py` the rest;
`render.py` draws one date of it with the pens of `objects.py`, `camera.py` takes the picture, `scenes.py` makes the data set.
"""

from cdzoo.data.synthetic.scenes import Scene, SyntheticScenes, make_scene

__all__ = ["Scene", "SyntheticScenes", "make_scene"]
