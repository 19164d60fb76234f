"""A user scored a data set whose images are all of different sizes. Samples wait for others of their size to fill a batch,
so the whole split was kept in memory. Right: the number of samples that are held does not grow with the data set."""

import importlib
import sys
import tempfile
import traceback
import warnings
import weakref
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


class Sizes:
    """Pairs of which no two have one size; counts how many are in memory."""

    def __init__(self, count):
        self.count, self.alive, self.most = count, 0, 0
        self.names = [f"s{index}" for index in range(count)]

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index >= self.count:
            raise IndexError(index)
        mask = torch.zeros(64 + index, 64, dtype=torch.int64)
        image = torch.full((3, 64 + index, 64), 90, dtype=torch.uint8)
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(mask, self.gone)
        return {"image_a": image, "image_b": image.clone(), "mask": mask, "name": f"s{index}"}

    def gone(self):
        self.alive -= 1


def case(place):
    evaluate = find("evaluate", "cdzoo.inference.evaluate")
    protocol = find("get_protocol", "cdzoo.data.protocols")(None)
    held = {}
    for count in (20, 100):
        data = Sizes(count)
        evaluate(small().eval(), data, protocol, batch_size=2)
        held[count] = data.most
    if held[100] <= max(24, held[20] + 8):
        return None
    return f"samples held at once: {held[20]} of 20, {held[100]} of 100"


if __name__ == "__main__":
    try:
        with tempfile.TemporaryDirectory() as folder:
            fault = case(Path(folder).resolve())
    except Exception:
        traceback.print_exc()
        sys.exit(2)
    print(fault or "right")
    sys.exit(1 if fault else 0)
