"""`export_model`: a model as a file that runs without cdzoo."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cdzoo.errors import ConfigError
from cdzoo.export.check import LIMITS, PT2_LIMIT, measure, onnx_runner, require_small
from cdzoo.export.config import ExportCfg
from cdzoo.export.deepness import DeepnessCfg, Stacked, deepness_metadata, deepness_options
from cdzoo.export.metadata import PT2_FILE, Metadata, describe
from cdzoo.export.onnx_file import save, to_onnx
from cdzoo.export.program import Deployed, deployed, trace
from cdzoo.export.sizes import FileSizes
from cdzoo.inference.resolve import resolve_model
from cdzoo.io.files import PathLike, output_path, replace_atomically
from cdzoo.models.detector import ChangeDetector

FORMATS = (".onnx", ".pt2")


@dataclass(frozen=True)
class ExportResult:
    """An exported file.

    Attributes:
        path: The file.
        metadata: Its description, with the error of each output.
        megabytes: Its size.
    """

    path: Path
    metadata: Metadata
    megabytes: float


def export_model(
    model: ChangeDetector | str, path: PathLike, *, deepness: DeepnessCfg | None = None, **options: Any
) -> ExportResult:
    """Write a model as an ONNX file or as a program of `torch.export`, and compare it with the model.

    The inputs of the file are `before` and `after`, float32 (N, bands, H, W), its outputs those of the task: logits (N, C, H, W).
    N is free, and H and W are where the network takes images of any size: as multiples of `Metadata.pad_multiple`, since the file
    does not pad. The file is run at two sizes before it gets its name: ONNX in onnxruntime.

    Args:
        model: Model, which is exported in evaluation mode, or a name as for `create_model`, whose weights are loaded.
        path: File to write: `.onnx`, or `.pt2` for `torch.export.load`. Programs of models with selective scans need
            `import cdzoo.ops` before they are loaded, which brings its kernels.
        deepness: Write a file for the plugin Deepness of QGIS, see `cdzoo.export.deepness`, with these settings.
        **options: Fields of `ExportCfg`.

    Raises:
        ConfigError: The model cannot be exported, or an output differs by more than 1e-4 of its largest magnitude (1e-6 for
            `.pt2`). There is no file then.
        InputError: The path has another suffix or no folder.
        MissingDependencyError: The extra `export` is not installed.
    """
    cfg = ExportCfg(**options)
    file = output_path(path, suffixes=FORMATS, purpose="the format is unknown")
    if is_program := file.suffix.lower() == ".pt2":
        if cfg.precision != "fp32":
            raise ConfigError(f"precision={cfg.precision} is for .onnx files; a .pt2 file is fp32")
        if deepness is not None:
            raise ConfigError("Deepness reads .onnx files")
    found = resolve_model(model)
    if not isinstance(found, ChangeDetector):
        raise ConfigError(f"{model}: is an exported file already; pass the model that it was made from")
    model = found
    further: dict[str, str] = {}
    if deepness is not None:
        cfg = deepness_options(model, cfg)
        further = deepness_metadata(model, cfg, deepness)
    sizes = FileSizes.of(model, cfg.size)
    module = deployed(model, cfg, Deployed if deepness is None else Stacked)
    metadata = describe(module.model, cfg, sizes)
    program = trace(module, cfg, sizes)
    with replace_atomically(file) as temporary:
        if is_program:
            loaded = torch.export.load(_save_program(program, temporary, metadata)).module()
            errors, limit = measure(module, lambda images: loaded(*images), cfg, sizes), PT2_LIMIT
            written = dataclasses.replace(metadata, error=errors)
            _save_program(program, temporary, written)
        else:
            proto = to_onnx(program, module, cfg)
            save(proto, temporary, metadata, further)
            errors, limit = measure(module, onnx_runner(temporary), cfg, sizes), LIMITS[cfg.precision]
            written = dataclasses.replace(metadata, error=errors)
            save(proto, temporary, written, further)
        require_small(errors, limit, file)
    return ExportResult(file, written, file.stat().st_size / 1e6)


def _save_program(program: torch.export.ExportedProgram, path: Path, metadata: Metadata) -> Path:
    torch.export.save(program, path, extra_files={PT2_FILE: metadata.to_json()})
    return path
