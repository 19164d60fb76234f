"""Measure training steps on one CPU thread with and without bf16 and channels_last, as ratios in one run.

``python benchmarks/train_step.py [--model fc_siam_diff_efficientnet_lite0] [--size 192] [--batch 8] [--repeats 7] [--out FILE]``

Each variant has a model and an optimizer of its own, set up as by `cdzoo train`. The variants take turns, and the median of the
CPU time of each is given. The last one is bf16 without the fp32 of depthwise convolutions, see `cdzoo.engine.depthwise`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from cdzoo.engine.config import TrainCfg
from cdzoo.engine.depthwise import release_depthwise
from cdzoo.engine.setup import prepare, train_mode
from cdzoo.factory import create_model
from cdzoo.io.files import write_json
from cdzoo.results import Environment

VARIANTS: dict[str, dict[str, Any]] = {
    "fp32": {},
    "fp32, channels_last": {"channels_last": True},
    "bf16": {"precision": "bf16"},
    "bf16, channels_last": {"precision": "bf16", "channels_last": True},
    "bf16, channels_last, depthwise in bf16": {"precision": "bf16", "channels_last": True},
}


def main() -> None:
    """Time the variants and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fc_siam_diff_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    images = [torch.rand(chosen.batch, 3, chosen.size, chosen.size) for _ in range(2)]
    target = {"mask": torch.randint(0, 2, (chosen.batch, chosen.size, chosen.size))}
    steps = {}
    for name, settings in VARIANTS.items():
        torch.manual_seed(0)
        model, cfg = create_model(chosen.model), TrainCfg(device="cpu", optimizer="adamw", loss="bce+0.5*dice", **settings)
        setup = prepare(model, cfg)
        if name.endswith("depthwise in bf16"):
            release_depthwise(model)
        train_mode(model, cfg)
        steps[name] = setup
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(chosen.repeats + 1):
        for name, setup in steps.items():
            start = time.process_time()
            setup.fabric.backward(setup.objective(images, target))
            setup.optimizer.step()
            setup.optimizer.zero_grad(set_to_none=True)
            if number:  # the first step allocates
                seconds[name].append(time.process_time() - start)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    for name, median in medians.items():
        print(f"{name:40} {1000 * median:6.0f} ms {median / medians['fp32']:5.2f}")
    if chosen.out is not None:
        facts = {"model": chosen.model, "size": chosen.size, "batch": chosen.batch, "repeats": chosen.repeats}
        rows = [
            {"variant": name, "milliseconds": round(1000 * median, 1), "ratio": round(median / medians["fp32"], 3)}
            for name, median in medians.items()
        ]
        write_json(chosen.out, {**facts, "environment": Environment.current(), "rows": rows})


if __name__ == "__main__":
    main()
