"""Image pairs: folders of files, named data sets, and scenes made on the spot.

A sample is a dict with `image_a` and `image_b` (tensors (bands, H, W), before and after: uint8, or float32 with 0 and 1 for
the ends of a stated range), `mask` (int64 (H, W), 1 where it changed) and `name` (str).
"""

from cdzoo.data.folder import FilePairs, FolderPairs
from cdzoo.data.synthetic import SyntheticScenes
from cdzoo.data.tiles import TiledPairs

__all__ = ["FilePairs", "FolderPairs", "SyntheticScenes", "TiledPairs"]
