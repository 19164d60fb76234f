"""Data sets of co-registered images: folders of files, named data sets, and synthetic scenes. Items are `Sample`."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
