"""Procedural bitemporal scenes: pairs with known change, from a seed, without a file or a network.

`plan.py` decides what stands where at each date, `render.py` draws one date of a plan, `scenes.py` makes the data set.
"""

from cdzoo.data.synthetic.scenes import Scene, SyntheticScenes, make_scene

__all__ = ["Scene", "SyntheticScenes", "make_scene"]
