"""Export the default weights in each precision and compare their maps: ``python benchmarks/export_precision.py``.

The maps of the files are compared with those of PyTorch on generated scenes that are not among the training data: largest and
mean difference of the probability, pixels whose mask differs, and the F1 of change. Times are the CPU time of one thread as a
ratio to PyTorch, interleaved, median.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cdzoo
from cdzoo.data.synthetic import SyntheticScenes
from cdzoo.export.runtime import OnnxModel
from cdzoo.export.write import export_model
from cdzoo.io.files import write_json
from cdzoo.results import Environment

RESULTS = Path(__file__).parent / "results" / "export_precision.json"
MODEL = "fc_siam_diff_efficientnet_lite0"
PRECISIONS = ("fp32", "fp16", "int8")


def f1(truth: Any, found: Any) -> float:
    """Return the F1 of change of masks of 0 and 1."""
    both = np.sum(truth & found)
    return 2 * float(both) / max(1.0, float(truth.sum() + found.sum()))


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    model = cdzoo.create_model(MODEL, pretrained=True).eval()
    scenes = SyntheticScenes(chosen.scenes, size=chosen.size, seed=77)
    pairs = [
        tuple(image.permute(1, 2, 0).numpy() for image in sample.images)
        for sample in map(scenes.__getitem__, range(chosen.scenes))
    ]
    truth = np.stack([scenes[index].target["mask"].numpy() == 1 for index in range(chosen.scenes)])
    with tempfile.TemporaryDirectory() as folder:
        results = {kind: export_model(model, Path(folder) / f"{kind}.onnx", precision=kind) for kind in PRECISIONS}
        runners: dict[str, Any] = {
            "torch": model,
            **{kind: OnnxModel(result.path, threads=1) for kind, result in results.items()},
        }
        times: dict[str, list[float]] = {name: [] for name in runners}
        maps: dict[str, list[Any]] = {name: [] for name in runners}
        for pair in pairs:
            for name, runner in runners.items():
                start = time.process_time()
                maps[name].append(cdzoo.predict_pair(runner, *pair))
                times[name].append(time.process_time() - start)
    found = {
        name: (np.stack([one.probability for one in maps[name]]), np.stack([one.mask == 1 for one in maps[name]]))
        for name in maps
    }
    reference, mask = found["torch"]
    rows = {}
    for kind, result in results.items():
        probability, own = found[kind]
        difference = np.abs(probability - reference)
        rows[kind] = {
            "mb": round(result.megabytes, 1),
            "error": max(result.metadata.error.values()),
            "probability_max": float(difference.max()),
            "probability_mean": float(difference.mean()),
            "pixels_differ": float(np.mean(own != mask)),
            "f1": round(f1(truth, own), 4),
            "time_ratio": round(statistics.median(a / b for a, b in zip(times[kind], times["torch"], strict=True)), 2),
        }
    data = {"environment": Environment.current().to_dict(), "model": MODEL, "scenes": chosen.scenes, "size": chosen.size}
    write_json(chosen.out, {**data, "f1_torch": round(f1(truth, mask), 4), "results": rows})
    for kind, row in rows.items():
        print(kind, row)


if __name__ == "__main__":
    main()
