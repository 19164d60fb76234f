"""ONNX files: from a program of `torch.export` to a file that old runtimes read."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from cdzoo._version import __version__
from cdzoo.errors import ConfigError, require
from cdzoo.export.config import ExportCfg
from cdzoo.export.metadata import KEY, Metadata
from cdzoo.export.program import Deployed, reason
from cdzoo.export.scan import insert_scans, translations

_MAX_BYTES = 2**31 - 1  # of a protobuf message


def to_onnx(program: ExportedProgram, module: Deployed, cfg: ExportCfg) -> Any:
    """Return the program of a model as an `onnx.ModelProto`.

    Raises:
        ConfigError: An operator of the model has no ONNX form; the message names it.
        MissingDependencyError: onnx or onnxscript is not installed.
    """
    for package in ("onnx", "onnxscript"):
        require(package, "export", "exporting to ONNX")
    import onnxscript.optimizer

    name = module.model.config.name
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # it prints its steps
            warnings.simplefilter("ignore")
            written: Any = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                opset_version=cfg.opset,
                input_names=module.input_names,
                output_names=module.output_names,
                custom_translation_table=translations(cfg.opset),
                optimize=False,  # onnxruntime does it when it loads a file, in less time
            )
    except Exception as error:  # of the exporter
        raise ConfigError(f"{name} cannot be exported to ONNX: {reason(error)}") from error
    onnxscript.optimizer.fold_constants(written.model)
    onnxscript.optimizer.remove_unused_nodes(written.model)
    model = written.model_proto
    insert_scans(model)
    model.ir_version = cfg.ir_version
    model.producer_name, model.producer_version = "cdzoo", __version__
    model.graph.name = name
    _strip(model.graph)
    return model


def save(model: Any, path: Path, metadata: Metadata, further: Mapping[str, str] | None = None) -> None:
    """Write an `onnx.ModelProto` with the description of the file, and with further metadata.

    Raises:
        ConfigError: The model has more than 2 GiB.
    """
    del model.metadata_props[:]
    for key, value in {KEY: metadata.to_json(), **(further or {})}.items():
        model.metadata_props.add(key=key, value=value)
    if (size := model.ByteSize()) > _MAX_BYTES:
        raise ConfigError(f"the weights have {size / 2**30:.1f} GiB, an ONNX file holds 2: export a .pt2 file")
    path.write_bytes(model.SerializeToString())


def _strip(graph: Any) -> None:
    """Remove what the exporter notes about the source code of each node, which includes paths of this machine."""
    for node in graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    for value in (*graph.input, *graph.output, *graph.value_info):
        del value.metadata_props[:]
