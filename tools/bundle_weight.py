"""Add the weights of a run to the package, in half precision and with their scores.

`python tools/bundle_weight.py runs/bundled glmamba_tiny synthetic --data synthetic` writes
cdzoo/weights/bundled/glmamba_tiny.synthetic from a run of `cdzoo train` or a variant of tools/train_transfer.py. `--zero-shot`
names results of `cdzoo eval` for these weights on real pairs; their scores are copied, and the first ones are named wherever the
weights are.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import cdzoo
from cdzoo.cli.main import exit_code
from cdzoo.config import ModelCfg
from cdzoo.data.open import DataCfg
from cdzoo.engine.run import score_model
from cdzoo.errors import CdzooError, InputError
from cdzoo.flops import describe_cost
from cdzoo.io.files import file_sha256, write_json, write_text
from cdzoo.io.outputs import check_outputs
from cdzoo.results import Results, read_json
from cdzoo.weights.card import write_card
from cdzoo.weights.folder import CONFIG_FILE, RESULTS_FILE, WEIGHTS_FILE
from cdzoo.weights.pretrained import BUNDLED, DESCRIPTION_FILE, PretrainedCfg
from cdzoo.weights.state import write_tensors

MOST_BYTES = 16_000_000  # a small encoder and decoder in half precision; the package stays below the limits of PyPI
TRAINING_FILE = "training.json"  # of tools/train_transfer.py


@dataclass(frozen=True)
class Bundle:
    """Weights to add.

    Attributes:
        run: Folder of the weights and their training.
        model: Registered model.
        tag: Tag of the weights.
        data: Data set whose test split is scored.
        threshold: Threshold of the weights; None for that of the protocol.
        zero_shot: Results of `cdzoo eval` on real pairs.
        calibration: Output of tools/calibrate.py to copy into the results.
        pixel_size: Smallest and largest side, in meters, of the pixels of images that the weights are for.
        dataset: Description of the training data; `data` by default.
        notes: Remarks.
    """

    run: Path
    model: str
    tag: str
    data: str = "synthetic"
    threshold: float | None = None
    zero_shot: tuple[Path, ...] = ()
    calibration: Path | None = None
    pixel_size: tuple[float, float] | None = None
    dataset: str = ""
    notes: str = ""


def main() -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder written by cdzoo train or tools/train_transfer.py")
    parser.add_argument("model", help="registered model")
    parser.add_argument("tag", help="tag of the weights")
    parser.add_argument("--data", default="synthetic", help="data set whose test split is scored")
    parser.add_argument("--threshold", type=float, help="threshold of the weights; that of the protocol by default")
    parser.add_argument("--zero-shot", type=Path, nargs="+", default=[], help="results of cdzoo eval on real pairs")
    parser.add_argument("--calibration", type=Path, help="output of tools/calibrate.py to copy into the results")
    parser.add_argument(
        "--pixel-size", type=float, nargs=2, help="smallest and largest pixels in meters that the weights are for"
    )
    parser.add_argument("--dataset", default="", help="description of the training data; --data by default")
    parser.add_argument("--notes", default="", help="remarks in the description")
    chosen = vars(parser.parse_args())
    sizes = chosen["pixel_size"]
    chosen |= {"zero_shot": tuple(chosen["zero_shot"]), "pixel_size": sizes and tuple(sizes)}
    return exit_code("bundle_weight", lambda: write_bundle(Bundle(**chosen)))


def write_bundle(bundle: Bundle) -> None:
    """Write the folder of bundled weights."""
    folder = BUNDLED / f"{bundle.model}.{bundle.tag}"
    check_outputs({"TAG": folder / WEIGHTS_FILE} if folder.is_dir() else {}, [bundle.run / WEIGHTS_FILE])
    sha256 = write_weights(bundle.run, folder)
    loaded = cdzoo.create_model(f"local-dir:{folder}").eval()  # scored in the precision that users load
    result = score_model(loaded, str(folder), DataCfg(bundle.data), "test", torch.device("cpu"), threshold=bundle.threshold)
    training = read_training(bundle.run)
    entries: dict[str, Any] = {"source": folder.name, "weights_sha256": sha256}
    kept = ("seed", "epoch", "step", "scenes", "seconds", "training", "data", "environment", "mean_of")
    entries["trained"] = {key: training[key] for key in kept if key in training}
    zero_shot = [read_zero_shot(file, sha256) for file in bundle.zero_shot]
    if zero_shot:
        entries["zero_shot"] = zero_shot
    if bundle.calibration is not None:
        entries["calibration"] = read_json(bundle.calibration)
    result = result.with_entries(entries)
    result.write(folder / RESULTS_FILE)
    log = bundle.run / "log.csv"
    shutil.copyfile(log if log.is_file() else bundle.run.parent / "log.csv", folder / "log.csv")
    description = describe(bundle, loaded.config, result, training["training"]["crop"], zero_shot)
    write_json(folder / DESCRIPTION_FILE, dataclasses.asdict(description))
    write_card(folder, loaded.config, sum(loaded.parameter_counts().values()), describe_cost(loaded), bundle.notes)
    print(f"{folder}: test F1 {100 * result['scores']['f1']:.2f}")


def write_weights(run: Path, folder: Path) -> str:
    """Write config and weights: kernels and matrices in half, norms, biases and the scan in single precision; return the hash."""
    model = cdzoo.create_model(f"local-dir:{run}")
    halved = {key: value.half() if _large(key, value) else value for key, value in model.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / WEIGHTS_FILE, halved)
    size = (folder / WEIGHTS_FILE).stat().st_size
    if size > MOST_BYTES:
        raise CdzooError(f"{folder / WEIGHTS_FILE} has {size} bytes, more than the limit of {MOST_BYTES} in the package")
    write_text(folder / CONFIG_FILE, model.config.to_json())
    return file_sha256(folder / WEIGHTS_FILE)


def read_training(run: Path) -> dict[str, Any]:
    """Return what describes the training of a run."""
    file = next((run / name for name in (TRAINING_FILE, RESULTS_FILE) if (run / name).is_file()), None)
    if file is None:
        raise InputError(f"{run}: neither {TRAINING_FILE} nor {RESULTS_FILE} found")
    found = read_json(file)
    if not isinstance(found, dict) or "crop" not in (found.get("training") or {}):
        raise InputError(f"{file}: does not describe a training")
    return found


def read_zero_shot(file: Path, sha256: str) -> dict[str, Any]:
    """Return the scores, intervals, protocol and data of an evaluation of these weights."""
    content = read_json(file)
    if not isinstance(content, dict) or content.get("weights_sha256") != sha256:
        raise InputError(f"{file}: not an evaluation of these weights; evaluate the folder that this script writes")
    scores = {key: value for key, value in content["scores"].items() if key != "sweep"}
    return {"scores": scores, **{key: content[key] for key in ("intervals", "protocol", "data", "notes") if key in content}}


def describe(bundle: Bundle, config: ModelCfg, result: Results, size: int, zero_shot: list[dict[str, Any]]) -> PretrainedCfg:
    """Return the description of the weights."""
    assert result.protocol is not None
    text = ""
    if zero_shot:
        f1, interval = zero_shot[0]["scores"]["f1"], zero_shot[0]["intervals"]["scores"]["f1"]
        low, high = (100 * interval[side] for side in ("low", "high"))
        text = f"f1 {100 * f1:.2f} (95 % {low:.2f} to {high:.2f}) on {zero_shot[0]['data']['data']}"
    return PretrainedCfg(
        model=bundle.model,
        tag=bundle.tag,
        sha256=result["weights_sha256"],
        file=f"{bundle.model}.{bundle.tag}",
        mean=config.mean,
        std=config.std,
        input_scale=config.input_scale,
        size=size,
        pixel_size=bundle.pixel_size,
        threshold=result["protocol"]["threshold"],
        dataset=bundle.dataset or bundle.data,
        protocol=f"{result.protocol.name} {result.protocol.hash}",
        metrics={key: round(result["scores"][key], 4) for key in ("precision", "recall", "f1", "iou")},
        zero_shot=text,
        citation=config.citation,
        notes=bundle.notes,
    )


def _large(key: str, value: torch.Tensor) -> bool:
    return value.is_floating_point() and value.ndim >= 2 and "A_log" not in key and "dt_projs" not in key


if __name__ == "__main__":
    sys.exit(main())
