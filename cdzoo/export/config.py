"""`ExportCfg`: options of an exported file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cdzoo.constants import MIN_SIZE
from cdzoo.validation import config_dataclass

Precision = Literal["fp32", "fp16", "int8"]


@config_dataclass
class ExportCfg:
    """Options of an exported file.

    Attributes:
        normalize: Take images in [0, 1] and normalize them inside, instead of normalized images.
        probabilities: Return the probabilities (N, C, H, W) instead of the logits.
        precision: fp32, or ONNX with weights in fp16 or int8.
        size: Only height and width of the images in pixels; free by default where the network is.
        batch: Only number of pairs; free by default.
        opset: Version of the ONNX operators.
        ir_version: Version of the ONNX format; onnxruntime 1.12 and later read 8.
    """

    normalize: bool = False
    probabilities: bool = False
    precision: Precision = "fp32"
    size: Annotated[int, Field(ge=MIN_SIZE)] | None = None
    batch: Annotated[int, Field(ge=1)] | None = None
    opset: Annotated[int, Field(ge=18)] = 18
    ir_version: Annotated[int, Field(ge=8)] = 8
