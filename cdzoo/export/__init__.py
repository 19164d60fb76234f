"""Models as files that run without cdzoo: ONNX, and programs of `torch.export`.

`export_model` writes a file and compares it with the model; `Metadata` is what it says about itself.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
