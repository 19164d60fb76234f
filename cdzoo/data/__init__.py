"""Image pairs: folders of files, and scenes made on the spot.

A sample is a dict with `image_a` and `image_b` (uint8 tensors (bands, H, W), before and after), `mask` (int64 (H, W), 1 where
it changed) and `name` (str).
"""

from cdzoo.data.folder import FolderPairs
from cdzoo.data.synthetic import SyntheticScenes

__all__ = ["FolderPairs", "SyntheticScenes"]
