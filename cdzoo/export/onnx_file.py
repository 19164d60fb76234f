"""ONNX files: from a program of `torch.export` to a file that old runtimes read."""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from cdzoo._version import __version__
from cdzoo.errors import ConfigError, require
from cdzoo.export.config import ExportCfg
from cdzoo.export.functional import functional
from cdzoo.export.metadata import KEY, Metadata
from cdzoo.export.operators import operator_translations
from cdzoo.export.program import Deployed, reason, without_fake_cache
from cdzoo.export.scan import insert_scans, translations

_MAX_BYTES = 2**31 - 1  # of a protobuf message


def to_onnx(program: ExportedProgram, module: Deployed, cfg: ExportCfg, complete: bool = True) -> Any:
    """Return the program of a model as an `onnx.ModelProto`.

    Args:
        program: Traced model.
        module: The model.
        cfg: Settings.
        complete: Run all passes of the exporter; without them it takes half the time, and a few operators are translated wrongly.

    Raises:
        ConfigError: An operator of the model has no ONNX form; the message names it.
        MissingDependencyError: onnx or onnxscript is not installed.
    """
    for package in ("onnx", "onnxscript"):
        require(package, "export", "exporting to ONNX")
    name = module.model.config.name
    try:
        with contextlib.nullcontext() if complete else undecomposed(program):
            written = _translate(program, module, cfg)
    except Exception as error:  # of the exporter
        raise ConfigError(f"{name} cannot be exported to ONNX: {reason(error)}") from error
    model = written.model_proto
    insert_scans(model)
    model.ir_version = cfg.ir_version
    model.producer_name, model.producer_version = "cdzoo", __version__
    model.graph.name = name
    _strip(model.graph)
    return model


def _translate(program: ExportedProgram, module: Deployed, cfg: ExportCfg) -> Any:
    import onnxscript.optimizer
    from onnx_ir.passes.common import LiftConstantsToInitializersPass

    with without_fake_cache(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # it prints its steps
        warnings.simplefilter("ignore")
        written: Any = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            opset_version=cfg.opset,
            input_names=module.input_names,
            output_names=module.output_names,
            custom_translation_table={**translations(cfg.opset), **operator_translations(cfg.opset)},
            optimize=False,  # onnxruntime does it when it loads a file, in less time
        )
    onnxscript.optimizer.fold_constants(written.model)
    onnxscript.optimizer.remove_unused_nodes(written.model)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(written.model)
    return written


@contextlib.contextmanager
def undecomposed(program: ExportedProgram) -> Iterator[None]:
    """Let the exporter translate a program as it is, without the passes that take most of its time.

    They replace operators in place, which `functional` does, and those that the exporter has no translation for; the file is
    compared with the model in any case. The passes are internal to torch; if they have other names, they run.
    """
    try:
        passes: Any = importlib.import_module("torch.onnx._internal.exporter._fx_passes")
    except ImportError:
        passes = None
    names = ("decompose_with_registry", "insert_type_promotion_nodes")
    graph = functional(program.graph)
    if not all(hasattr(passes, name) for name in names) or graph is None:
        yield
        return

    def functional_program(program: ExportedProgram, registry: object) -> ExportedProgram:
        copied = copy.copy(program)
        copied._graph_module = torch.fx.GraphModule(program.graph_module, graph)
        return copied

    kept = {name: getattr(passes, name) for name in names}
    passes.decompose_with_registry = functional_program
    passes.insert_type_promotion_nodes = lambda graph: None
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(passes, name, function)


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
