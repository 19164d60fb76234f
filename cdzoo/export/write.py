"""`export_model`: a model as a file that runs without cdzoo."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from cdzoo.errors import ConfigError
from cdzoo.export.check import LIMITS, PT2_LIMIT, Run, measure, onnx_runner, require_small
from cdzoo.export.config import ExportCfg
from cdzoo.export.deepness import DeepnessCfg, Stacked, deepness_metadata, deepness_options
from cdzoo.export.metadata import PT2_FILE, Metadata, describe
from cdzoo.export.onnx_file import save as save_onnx
from cdzoo.export.onnx_file import to_onnx
from cdzoo.export.precision import convert
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
    does not pad. Neither does it resample: a model with `input_scale` gets resampled images, which cdzoo does when it runs the
    file. The file is run at two sizes before it gets its name: ONNX in onnxruntime.

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
    if _is_program(file):
        if cfg.precision != "fp32":
            raise ConfigError(f"precision={cfg.precision} is for .onnx files; a .pt2 file is fp32")
        if deepness is not None:
            raise ConfigError("Deepness reads .onnx files")
    found = resolve_model(model)
    if not isinstance(found, ChangeDetector):
        raise ConfigError(f"{model}: is an exported file already; pass the model that it was made from")
    further: dict[str, str] = {}
    if deepness is not None:
        cfg = deepness_options(found, cfg)
        further = deepness_metadata(found, cfg, deepness)
    elif cfg.size and found.config.input_scale != 1:
        raise ConfigError(
            f"size={cfg.size}: the model resamples images by {found.config.input_scale:g}, for which its file must take "
            "all sizes: leave the size out"
        )
    sizes = FileSizes.of(found, cfg.size)
    module = deployed(found, cfg, Deployed if deepness is None else Stacked)
    return write(trace(module, cfg, sizes), module, file, cfg, sizes, further)


def write(
    program: ExportedProgram,
    module: Deployed,
    file: Path,
    cfg: ExportCfg,
    sizes: FileSizes,
    further: Mapping[str, str] | None = None,
) -> ExportResult:
    """Write the program of a model to a file after comparing it with the model, see `export_model`.

    Args:
        program: Traced model.
        module: The model.
        file: File to write.
        cfg: Settings.
        sizes: Sizes that the file takes.
        further: Further metadata of an ONNX file.
    """
    if _is_program(file):
        return _write(program, PT2_LIMIT, module, file, cfg, sizes, {})
    for complete in (False, True):
        try:
            content = convert(to_onnx(program, module, cfg, complete), cfg.precision)
            return _write(content, LIMITS[cfg.precision], module, file, cfg, sizes, further or {})
        except ConfigError:  # an operator has another meaning, or no translation, without the passes of the exporter
            if complete:
                raise
    raise AssertionError


def _write(
    content: Any, limit: float, module: Deployed, file: Path, cfg: ExportCfg, sizes: FileSizes, further: Mapping[str, str]
) -> ExportResult:
    metadata = describe(module.model, cfg, sizes)
    with replace_atomically(file) as temporary:
        _save(content, temporary, metadata, further)
        errors = measure(module, _runner(temporary), cfg, sizes)
        require_small(errors, limit, file)
        metadata = dataclasses.replace(metadata, error=errors)
        _save(content, temporary, metadata, further)
    return ExportResult(file, metadata, file.stat().st_size / 1e6)


def _is_program(file: Path) -> bool:
    return file.suffix.lower() == ".pt2"


def _save(content: Any, path: Path, metadata: Metadata, further: Mapping[str, str]) -> None:
    if _is_program(path):
        torch.export.save(content, path, extra_files={PT2_FILE: metadata.to_json()})
    else:
        save_onnx(content, path, metadata, further)


def _runner(path: Path) -> Run:
    if not _is_program(path):
        return onnx_runner(path)
    program: Any = torch.export.load(path).module()
    return lambda images: program(*images)
