"""A crop that lies wholly in pixels that are left out (255) gives a loss that is not a number, in the losses that average
over valid pixels. Right: a loss of nought, or another finite one, with finite gradients."""

import importlib
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import numpy as np
import torch

import cdzoo

torch.set_num_threads(1)


def find(name, *modules):
    """Import a name from wherever the project keeps it."""
    for module in modules:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise RuntimeError(f"{name} is in none of {', '.join(modules)}")


def samples(count, value=1, dtype=torch.uint8, scale=1.0):
    """Make pairs in which a bright square is the change; the mask holds `value` there."""
    rng, made = np.random.default_rng(1), []
    for index in range(count):
        before = rng.integers(60, 120, (3, 64, 64))
        after, mask = before.copy(), np.zeros((64, 64), np.int64)
        y, x = rng.integers(0, 32, 2)
        after[:, y : y + 20, x : x + 20] = 230
        mask[y : y + 20, x : x + 20] = value
        images = [torch.from_numpy(one * scale).to(dtype) for one in (before, after)]
        made.append({"image_a": images[0], "image_b": images[1], "mask": torch.from_numpy(mask), "name": f"s{index}"})
    return made


def small():
    """Build a small model."""
    return cdzoo.create_model("glmamba_tiny", backbone_kwargs={"channels": 8, "depths": (1, 1, 1, 1), "d_state": 2})


def train(model, pairs, **settings):
    """Train through Python; return the summary and what was warned of."""
    run = find("train", "cdzoo.engine.train", "cdzoo.engine", "cdzoo.training", "cdzoo.train", "cdzoo")
    cfg = find("TrainCfg", "cdzoo.engine.settings", "cdzoo.engine", "cdzoo.training", "cdzoo.train", "cdzoo")
    plain = {"epochs": 2, "batch_size": 3, "crop": 64, "progress": False, "device": "cpu", "lr": 1e-3}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        summary = run(model, pairs[:6], pairs[6:], cfg(**(plain | settings)))
    return summary, " ".join(str(one.message) for one in caught).lower()


def case(place):
    loss = find("create_loss", "cdzoo.losses")
    bad = []
    for classes in (1, 2):
        for text in ("bce", "dice", "focal", "lovasz", "bce+0.5*dice"):
            logits = torch.randn(2, classes, 8, 8, requires_grad=True)
            value = loss(text)(logits, torch.full((2, 8, 8), 255))
            gradient = torch.autograd.grad(value, logits, allow_unused=True)[0] if value.requires_grad else None
            if not torch.isfinite(value) or (gradient is not None and not torch.isfinite(gradient).all()):
                bad.append(f"{text} ({classes} class(es))")
    return f"not finite where no pixel is valid: {', '.join(bad)}" if bad else None


if __name__ == "__main__":
    try:
        with tempfile.TemporaryDirectory() as folder:
            fault = case(Path(folder).resolve())
    except Exception:
        traceback.print_exc()
        sys.exit(2)
    print(fault or "right")
    sys.exit(1 if fault else 0)
