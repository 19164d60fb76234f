"""Cost of a model: parameters, multiply-adds, FLOPs and activations, component by component.

Counted by fvcore on a traced forward pass of one pair, with handlers for the operators that it does not know. `CONVENTION`
defines the figures. Figures in papers for the same network differ by factors of two to four, because their conventions differ.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from cdzoo.errors import ConfigError, MissingDependencyError, require
from cdzoo.factory import create_model, list_models
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.modes import evaluating
from cdzoo.models.scale import resample
from cdzoo.ops.orders import num_directions
from cdzoo.registry import MODELS

SCAN = "selective_scan"
CONVENTION = (
    "GMACs are counted by fvcore for one pair of images (both dates), one per multiply-add. Norms and resizing are included; "
    "elementwise operations, softmax and pooling are not. The selective scan adds 9 B L D N + B L D per direction, the formula "
    "of VMamba's authors, which is included in the GMACs and also listed as 'scan'. GFLOPs = 2 (GMACs - scan) + scan."
)
# Views and dropout: no multiply-adds.
_FREE = ("aten::mT", "aten::expand_as", "aten::feature_dropout", "aten::dropout")


@dataclass(frozen=True)
class Cost:
    """Cost of one forward pass.

    Attributes:
        model: Name of the model, as passed.
        registered: Registered name of the model.
        size: Height and width of the images in pixels.
        batch: Number of pairs.
        params: Number of parameters.
        trained: Number of parameters with a gradient.
        macs: Multiply-adds, including the operations of the scans; see `CONVENTION`.
        scan: Operations of the selective scans.
        activations: Output values of convolutions, linear layers, matrix products and scans.
        component_params: Parameters of each component.
        component_macs: Multiply-adds of each component.
        operators: Multiply-adds of each operator.
        uncounted: Number of occurrences of each operator without a handler.
    """

    model: str
    registered: str
    size: tuple[int, int]
    batch: int
    params: int
    trained: int
    macs: int
    scan: int
    activations: int
    component_params: dict[str, int]
    component_macs: dict[str, int]
    operators: dict[str, int]
    uncounted: dict[str, int]

    @property
    def flops(self) -> int:
        """Floating-point operations: two per multiply-add, plus the operations of the scans."""
        return 2 * (self.macs - self.scan) + self.scan

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, in millions and billions as the keys state."""
        return {
            "model": self.model,
            "registered": self.registered,
            "input": f"{self.batch} x 2 x {self.size[0]} x {self.size[1]}",
            "params_m": self.params / 1e6,
            "trained_m": self.trained / 1e6,
            "gmacs": self.macs / 1e9,
            "scan_g": self.scan / 1e9,
            "gflops": self.flops / 1e9,
            "activations_m": self.activations / 1e6,
            "parts": {
                kind: {"params_m": count / 1e6, "gmacs": self.component_macs[kind] / 1e9}
                for kind, count in self.component_params.items()
            },
            "operators": {name: count / 1e9 for name, count in self.operators.items()},
            "uncounted": self.uncounted,
            "convention": CONVENTION,
        }


def count(model: ChangeDetector, size: int | tuple[int, int] = 256, batch: int = 1, name: str = "") -> Cost:
    """Count the cost of one forward pass on the CPU.

    Args:
        model: Model; returned to the mode it was in.
        size: Side of the images in pixels, or (height, width); the network is run at `model.config.input_scale` times that.
        batch: Number of pairs.
        name: Name in the result; that of the config by default.

    Raises:
        ConfigError: The size or batch is not positive.
        MissingDependencyError: fvcore is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # fvcore uses torch.jit.script when it is imported
        fvcore: Any = require("fvcore.nn", "tools", "counting multiply-adds")
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width, batch) < 1:
        raise ConfigError(f"size and batch must be positive, got {height} x {width}, {batch}")
    device, scale = next(model.parameters()).device, model.config.input_scale
    pair = tuple(resample(torch.zeros(batch, bands, height, width, device=device), scale) for bands in model.bands)
    with evaluating(model):
        flops = _quiet(fvcore.FlopCountAnalysis(model, pair))
        flops.set_op_handle("cdzoo::ss2d_scan", _scan_cost, "cdzoo::selective_scan", _sequence_scan_cost)
        flops.set_op_handle("aten::scaled_dot_product_attention", _attention_cost)
        flops.set_op_handle(**dict.fromkeys(_FREE))
        activations = _quiet(fvcore.ActivationCountAnalysis(model, pair))
        for operator in ("cdzoo::ss2d_scan", "cdzoo::selective_scan", "aten::scaled_dot_product_attention"):
            activations.set_op_handle(operator, _outputs)
        modules, operators = flops.by_module(), {key: int(value) for key, value in flops.by_operator().items()}
        # The backbone of the second date, if there is one, is a part of the component "backbone".
        params = model.parameter_counts()
        macs = {kind: int(sum(modules.get(module, 0) for module in (kind, f"{kind}2"))) for kind in params}
        return Cost(
            model=name or model.config.name,
            registered=model.config.name,
            size=(height, width),
            batch=batch,
            params=sum(p.numel() for p in model.parameters()),
            trained=sum(p.numel() for p in model.parameters() if p.requires_grad),
            macs=int(flops.total()),
            scan=operators.get(SCAN, 0),
            activations=int(activations.total()),
            component_params=params,
            component_macs=macs,
            operators=operators,
            uncounted=dict(sorted(flops.unsupported_ops().items())),
        )


def describe_cost(model: ChangeDetector) -> str:
    """Return the parameters and multiply-adds of a model in one sentence; only the parameters without fvcore."""
    params = sum(model.parameter_counts().values()) / 1e6
    try:
        cost = count(model, 256)
    except MissingDependencyError:
        return f"{params:.2f} M parameters."
    return f"{params:.2f} M parameters, {cost.macs / 1e9:.2f} GMACs for one pair of 256 x 256 pixels. {CONVENTION}"


def expand(names: Iterable[str]) -> list[str]:
    """Return the models that match names and wildcards, in their order, without duplicates.

    Raises:
        ConfigError: A wildcard matches nothing.
    """
    found: dict[str, None] = {}
    for name in names:
        matches = list_models(name) if any(character in name for character in "*?[") else [name]
        if not matches:
            raise ConfigError(f"no model matches '{name}'; 'cdzoo list --kind model' shows all")
        found.update(dict.fromkeys(matches))
    return list(found)


def count_models(names: Sequence[str], size: int | tuple[int, int] = 256, batch: int = 1) -> Iterable[Cost]:
    """Yield the cost of each model; a model and its aliases are counted once.

    Raises:
        UnknownNameError: There is no such model.
    """
    known: dict[str, Cost] = {}
    for name in names:
        target = MODELS.aliases().get(name, name)
        if target not in known:
            known[target] = count(create_model(name), size, batch, name)
        yield replace(known[target], model=name)


def _quiet(analysis: Any) -> Any:
    # Operators without a handler are reported in `Cost`; modules that are never called are heads of deep supervision.
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")


def _shape(value: Any) -> list[int]:
    return list(value.type().sizes())


def _scan_cost(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    directions = num_directions(inputs[8].toIValue())
    batch, height, width, channels = _shape(inputs[0])
    states = _shape(inputs[2])[2]
    return Counter({SCAN: directions * batch * height * width * channels * (9 * states + 1)})


def _sequence_scan_cost(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    values, states = math.prod(_shape(inputs[0])), _shape(inputs[2])[-1]
    return Counter({SCAN: values * (9 * states + 1)})


def _attention_cost(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    *batch, queries, channels = _shape(inputs[0])
    keys, values = _shape(inputs[2])[-2:]
    return Counter({"attention": math.prod(batch) * queries * keys * (channels + values)})


def _outputs(inputs: list[Any], outputs: list[Any]) -> int:
    return math.prod(_shape(outputs[0]))
