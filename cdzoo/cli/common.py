"""Models, devices and outputs named on the command line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from cdzoo.config import ModelOptions
from cdzoo.errors import ConfigError
from cdzoo.io.files import write_text

if TYPE_CHECKING:
    import torch

    from cdzoo.models.detector import ChangeDetector
    from cdzoo.weights.pretrained import PretrainedCfg

DEFAULT_WEIGHTS = "fc_siam_diff_efficientnet_lite0.synthetic_wide"
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
    """Return a model name for `create_model`: an existing folder needs no `local-dir:`."""
    return f"local-dir:{name}" if Path(name).is_dir() else name


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


def load_trained(name: str) -> ChangeDetector:
    """Return a model with weights: of a folder, of the Hub, of a tag, or the default weights of a registered model.

    Raises:
        WeightsError: No weights of the model are published.
    """
    return build_model(ModelOptions(name, pretrained=":" not in model_source(name)))


def describe_weights(cfg: PretrainedCfg) -> str:
    """Return the training data and the score of published weights."""
    scores = ", ".join(f"{score} {100 * value:.2f}" for score, value in cfg.metrics.items())
    zero_shot = f"; zero-shot {cfg.zero_shot}" if cfg.zero_shot else ""
    return f"trained on {cfg.dataset}{zero_shot}; {scores} ({cfg.provenance}, protocol {cfg.protocol})"


def print_weights(model: ChangeDetector, name: str) -> None:
    """Print one line that names the weights of a model, and for published ones their training data and score."""
    cfg = model.pretrained_cfg
    print(f"weights {name}" if cfg is None else f"weights {cfg.name}, {describe_weights(cfg)}", flush=True)
