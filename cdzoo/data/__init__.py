"""Data: samples from folders of images, named data sets, and synthetic scenes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
