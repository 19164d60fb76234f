"""Scenes of any size: predicted in blocks of blended windows and written as georeferenced maps."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
