"""`OnnxModel`: exported models that predict like `ChangeDetector`, without PyTorch models."""

from cdzoo.inference.exported import Metadata
from cdzoo.inference.onnx import OnnxModel, is_exported

__all__ = ["Metadata", "OnnxModel", "is_exported"]
