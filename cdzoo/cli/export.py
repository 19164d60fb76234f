"""`cdzoo export`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cdzoo.cli.common import load_trained, print_weights
from cdzoo.errors import ConfigError
from cdzoo.io.files import output_path
from cdzoo.io.outputs import check_outputs

if TYPE_CHECKING:
    from cdzoo.export.write import ExportResult


def export(
    model: str,
    *,
    output: str,
    random_weights: bool = False,
    normalize: bool = False,
    probabilities: bool = False,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    size: int | None = None,
    batch: int | None = None,
    opset: int = 18,
    ir_version: int = 8,
    for_: Literal["deepness"] | None = None,
    resolution: float | None = None,
    tiles_overlap: int | None = None,
    small_segment: int | None = None,
) -> None:
    """Write a model as a file that runs without cdzoo: ONNX, or a program of torch.export.

    The file is compared with the model before it gets its name, and refused if an output differs.

    Args:
        model: Folder of a run, tag (MODEL.TAG), model with published weights, or hf-hub:owner/name.
        output: File to write: .onnx or .pt2.
        random_weights: Export an untrained model, to try a pipeline.
        normalize: Take images in [0, 1] and normalize them inside, instead of normalized images.
        probabilities: Return probabilities instead of logits.
        precision: fp32, or ONNX with weights in fp16 or int8.
        size: Only height and width of the images in pixels; free by default where the network is.
        batch: Only number of pairs; free by default.
        opset: Version of the ONNX operators.
        ir_version: Version of the ONNX format; onnxruntime 1.12 and later read 8.
        for_: Write the file for another program: deepness, a plugin of QGIS, which takes the raster of cdzoo stack.
        resolution: With --for, centimeters per pixel at which the raster is read; by default that of the training data.
        tiles_overlap: With --for, overlap of neighboring tiles in percent; 25 by default.
        small_segment: With --for, side in pixels of the median filter that removes small areas; none by default.
    """
    from cdzoo.export.deepness import DeepnessCfg
    from cdzoo.export.write import FORMATS, export_model

    given = {"resolution": resolution, "tiles_overlap": tiles_overlap, "small_segment": small_segment}
    given = {name: value for name, value in given.items() if value is not None}
    if given and for_ is None:
        raise ConfigError(f"--{next(iter(given)).replace('_', '-')} is a setting of Deepness: pass --for deepness, too")
    deepness = None if for_ is None else DeepnessCfg(**given)  # type: ignore[arg-type]  # validated
    output_path(output, "-o", FORMATS, "models are exported to ONNX or to torch.export")
    check_outputs({"-o": output})
    detector = load_trained(model, random_weights)
    print_weights(detector)
    result = export_model(
        detector,
        output,
        deepness=deepness,
        normalize=normalize,
        probabilities=probabilities,
        precision=precision,
        size=size,
        batch=batch,
        opset=opset,
        ir_version=ir_version,
    )
    print(_summary(result))


def _summary(result: ExportResult) -> str:
    file = result.metadata
    fixed, square = file.input_sizes["fixed"], file.input_sizes["square"]
    free = f"multiples of {file.pad_multiple} from {file.min_size}{', square' if square else ''}"
    values = "images in [0, 1]" if file.normalized else "normalized images"
    scale = file.model_config().input_scale
    resampled = f", resampled by {scale:g}" if scale != 1 else ""
    errors = ", ".join(f"{name} {error:.1g}" for name, error in file.error.items())
    return (
        f"{result.path}: {result.megabytes:.1f} MB, {file.precision}; {values} of "
        f"{f'{fixed}x{fixed} pixels' if fixed else f'any height and width ({free})'}{resampled}, "
        f"{f'{file.batch} pairs' if file.batch else 'any number of pairs'}\n"
        f"largest difference from the model, as a share of the largest magnitude: {errors}"
    )
