"""Models, devices and outputs named on the command line."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cdzoo.config import ModelOptions
from cdzoo.errors import CdzooError, ConfigError
from cdzoo.io.files import write_text
from cdzoo.registry import MODELS

if TYPE_CHECKING:
    import torch

    from cdzoo.inference.model import PairModel
    from cdzoo.models.detector import ChangeDetector
    from cdzoo.weights.pretrained import PretrainedCfg

PICTURES = (".png", ".jpg", ".jpeg")


def pick_device(name: str) -> torch.device:
    """Return the device called `name`; `"auto"` is CUDA, MPS or the CPU, in this order.

    Raises:
        ConfigError: The device does not exist.
    """
    import torch

    devices = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    available = [device for device, found in devices.items() if found]
    if name not in (*available, "auto"):
        raise ConfigError(f"--device {name}: not available; available: {', '.join(available)}, auto")
    return torch.device(available[0] if name == "auto" else name)


def model_source(name: str) -> str:
    """Return a model name for `create_model`: an existing folder needs no `local-dir:`.

    Raises:
        ConfigError: The name is that of a registered model or tag and of a model folder, too.
    """
    folder = Path(name)
    if not os.path.isdir(folder):
        return name
    if folder.name == name and name.partition(".")[0] in MODELS:
        if (folder / "config.json").is_file():
            raise ConfigError(f"'{name}' is a model and a folder here: write ./{name} or local-dir:{name} for the folder")
        return name
    return f"local-dir:{name}"


def terminal_width() -> int | None:
    """Return the number of columns to print in; None if the output is no terminal, whose lines may have any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_or_write(text: str, output: str | None) -> None:
    """Print a text that ends with a newline, or write it to a file if one is named."""
    if output is None:
        print(text, end="")
    else:
        write_text(output, text)
        print(f"written to {output}")


def build_model(options: ModelOptions) -> ChangeDetector:
    """Return a model, with weights if the options name some."""
    from cdzoo.factory import create_model

    return create_model(**dataclasses.replace(options, model_name=model_source(options.model_name)).arguments())


def load_trained(name: str, random_weights: bool = False) -> ChangeDetector:
    """Return a model with weights: of a folder, of the Hub, of a tag, or the default weights of a registered model.

    Args:
        name: Name of the model.
        random_weights: Initialize the weights instead, always with the same values; for a registered model without a tag.

    Raises:
        WeightsError: No weights of the model are published.
        ConfigError: `random_weights` is set for a name that has weights, or the name is that of an exported file.
    """
    if name.lower().endswith(".onnx"):
        raise ConfigError(f"{name}: an exported file, which only cdzoo predict takes; pass the model that it was exported from")
    source = model_source(name)
    if not random_weights:
        return build_model(ModelOptions(name, pretrained=":" not in source))
    if ":" in source or "." in source:
        raise ConfigError(f"--random-weights is for the name of a model; '{name}' names weights")
    import torch

    torch.manual_seed(0)
    return build_model(ModelOptions(name))


def describe_weights(cfg: PretrainedCfg) -> str:
    """Return the training data and the score of published weights."""
    scores = ", ".join(f"{score} {100 * value:.2f}" for score, value in cfg.metrics.items())
    zero_shot = f"; zero-shot {cfg.zero_shot}" if cfg.zero_shot else ""
    return f"trained on {cfg.dataset}{zero_shot}; {scores} ({cfg.provenance}, protocol {cfg.protocol})"


def name_weights(model: PairModel) -> str:
    """Return the name, hash and score of the weights of a model; published ones with their training data."""
    from cdzoo.results import RESULTS_FILE, Results

    origin, cfg = model.origin, model.pretrained_cfg
    if origin is None:
        return "random weights"
    if cfg is not None:
        return f"weights {origin}, {describe_weights(cfg)}"
    file = Path(origin.name) / RESULTS_FILE
    try:
        results = Results.read(file)
    except CdzooError:  # none, or not readable; the scores are not needed
        return f"weights {origin}"
    return f"weights {origin}, f1 {100 * results.scores.f1:.2f} on the {results.split} split"


def print_weights(model: PairModel) -> None:
    """Print one line that names a model, its swapped components, its weights, and the exported file that contains them."""
    from cdzoo.inference.onnx import OnnxModel
    from cdzoo.models.summary import title

    file = f"; {model.path}, {model.metadata.precision}, run by ONNX Runtime" if isinstance(model, OnnxModel) else ""
    print(f"model {title(model.config)}; {name_weights(model)}{file}", flush=True)
