"""Add the weights of a run to the package, in half precision and with their test score.

`python tools/bundle_weight.py runs/bundled glmamba_tiny synthetic --data synthetic --pairs FOLDER` writes
cdzoo/weights/bundled/glmamba_tiny.synthetic. `--pairs` names real pairs, for a zero-shot score in its results.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

import cdzoo
from cdzoo.data.open import DataCfg
from cdzoo.engine.run import score_model
from cdzoo.errors import CdzooError
from cdzoo.flops import describe_cost
from cdzoo.io.files import write_json, write_text
from cdzoo.registry import MODELS
from cdzoo.weights.card import write_card
from cdzoo.weights.folder import CONFIG_FILE, RESULTS_FILE, WEIGHTS_FILE
from cdzoo.weights.pretrained import BUNDLED, DESCRIPTION_FILE, PretrainedCfg
from cdzoo.weights.state import write_tensors

MOST_BYTES = 5_000_000


def main() -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder written by cdzoo train")
    parser.add_argument("model", help="registered model")
    parser.add_argument("tag", help="tag of the weights")
    parser.add_argument("--data", default="synthetic", help="data set whose test split is scored")
    parser.add_argument("--pairs", help="folder of real pairs for a zero-shot score")
    parser.add_argument("--exclude", nargs="+", default=[], help="wildcards of pair names to leave out")
    parser.add_argument("--notes", default="", help="remarks in the description")
    chosen = parser.parse_args()
    try:
        bundle(chosen.run, chosen.model, chosen.tag, chosen.data, chosen.pairs, chosen.exclude, chosen.notes)
    except CdzooError as error:
        print(f"bundle_weight: error: {error}", file=sys.stderr)
        return 2
    return 0


def bundle(run: Path, name: str, tag: str, data: str, pairs: str | None, exclude: list[str], notes: str) -> None:
    """Write the folder of bundled weights."""
    model = cdzoo.create_model(f"local-dir:{run}")
    # Kernels and matrices in half precision; norms, biases and parameters of the scan in single precision.
    halved = {key: value.half() if _large(key, value) else value for key, value in model.state_dict().items()}
    folder = BUNDLED / f"{name}.{tag}"
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / WEIGHTS_FILE, halved)
    content = (folder / WEIGHTS_FILE).read_bytes()
    if len(content) > MOST_BYTES:
        raise CdzooError(f"{folder / WEIGHTS_FILE} has {len(content)} bytes, more than the limit of {MOST_BYTES} in the package")
    write_text(folder / CONFIG_FILE, model.config.to_json())
    loaded = cdzoo.create_model(f"local-dir:{folder}").eval()  # scored in the precision that users load
    cpu = torch.device("cpu")
    result = score_model(loaded, str(folder), DataCfg(data), "test", cpu)
    training = json.loads((run / RESULTS_FILE).read_text(encoding="utf-8"))
    entries: dict[str, Any] = {"source": f"{name}.{tag}", "weights_sha256": hashlib.sha256(content).hexdigest()}
    entries["trained"] = {
        key: training[key] for key in ("seed", "epoch", "step", "training", "data", "environment") if key in training
    }
    if pairs is not None:
        zero_shot = score_model(loaded, str(folder), DataCfg(pairs, exclude=tuple(exclude)), "test", cpu).to_dict()
        zero_shot["data"]["data"] = Path(pairs).name  # without the path on this machine
        entries["zero_shot"] = {key: zero_shot[key] for key in ("data", "scores", "protocol")}
    result = result.with_entries(entries)
    result.write(folder / RESULTS_FILE)
    shutil.copyfile(run / "log.csv", folder / "log.csv")
    config = MODELS.get(name)()
    description = PretrainedCfg(
        model=name,
        tag=tag,
        sha256=result["weights_sha256"],
        file=folder.name,
        mean=config.mean,
        std=config.std,
        size=training["training"]["crop"],
        threshold=result["protocol"]["threshold"],
        dataset=data,
        protocol=f"{result['protocol']['name']} {result['protocol']['hash']}",
        metrics={key: round(result["scores"][key], 4) for key in ("precision", "recall", "f1", "iou")},
        citation=config.citation,
        notes=notes,
    )
    write_json(folder / DESCRIPTION_FILE, dataclasses.asdict(description))
    write_card(folder, loaded.config, sum(loaded.parameter_counts().values()), describe_cost(loaded))
    print(f"{folder}: {len(content)} bytes, test F1 {100 * result['scores']['f1']:.2f}")
    if pairs is not None:
        scores = result["zero_shot"]["scores"]
        print("zero-shot: " + ", ".join(f"{key} {100 * scores[key]:.2f}" for key in ("precision", "recall", "f1", "iou", "oa")))


def _large(key: str, value: torch.Tensor) -> bool:
    return value.is_floating_point() and value.ndim >= 2 and "A_log" not in key and "dt_projs" not in key


if __name__ == "__main__":
    sys.exit(main())
