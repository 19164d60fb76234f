"""Average the weights of trainings that started from the same ones, such as those of several seeds.

`python tools/average_weights.py runs/a/fine runs/b/fine --out runs/mean/fine` writes a folder like those of
tools/train_transfer.py, which tools/calibrate.py and tools/bundle_weight.py read. The mean often has a higher score than each
of the trainings (Wortsman et al., Model soups, ICML 2022, "uniform soup"). Running statistics of batch normalization are
averaged, too.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from cdzoo.cli.main import exit_code
from cdzoo.errors import InputError
from cdzoo.io.files import write_json
from cdzoo.results import read_json
from cdzoo.weights.folder import CONFIG_FILE, WEIGHTS_FILE
from cdzoo.weights.state import write_tensors

TRAINING_FILE = "training.json"
LOG_FILE = "log.csv"


def main() -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of variants written by tools/train_transfer.py")
    parser.add_argument("--out", type=Path, required=True, help="new folder of the mean")
    options = parser.parse_args()
    return exit_code("average_weights", lambda: average(options.runs, options.out))


def average(runs: Sequence[Path], out: Path) -> None:
    """Write the mean of the weights, the config, the log of the first run, and what describes the trainings.

    Args:
        runs: Folders of the weights of one model.
        out: Folder of the mean, which must not exist.

    Raises:
        InputError: If there are fewer than two runs, a file is missing, the folder exists, or the runs are of different models.
    """
    if len(runs) < 2:
        raise InputError(f"{', '.join(map(str, runs))}: a mean needs the folders of two runs or more")
    if out.exists():
        raise InputError(f"{out} exists; pass another folder to --out")
    for run in runs:
        for name in (WEIGHTS_FILE, CONFIG_FILE, TRAINING_FILE):
            if not (run / name).is_file():
                raise InputError(f"{run}: {name} not found; pass folders that tools/train_transfer.py has finished")
        if read_json(run / CONFIG_FILE) != read_json(runs[0] / CONFIG_FILE):
            raise InputError(f"{run / CONFIG_FILE} differs from {runs[0] / CONFIG_FILE}: not the same model")
    states = [load_file(run / WEIGHTS_FILE) for run in runs]
    mean = {key: torch.stack([state[key].double() for state in states]).mean(0) for key in states[0]}
    new = out.with_name(f"{out.name}.new")
    new.mkdir(parents=True, exist_ok=True)
    write_tensors(new / WEIGHTS_FILE, {key: value.to(states[0][key].dtype) for key, value in mean.items()})
    shutil.copyfile(runs[0] / CONFIG_FILE, new / CONFIG_FILE)
    log = next((folder / LOG_FILE for folder in (runs[0], runs[0].parent) if (folder / LOG_FILE).is_file()), None)
    if log is not None:
        shutil.copyfile(log, new / LOG_FILE)
    trainings = [read_json(run / TRAINING_FILE) for run in runs]
    write_json(new / TRAINING_FILE, {**trainings[0], "mean_of": trainings})
    new.replace(out)
    print(f"{out}: mean of {len(runs)} runs")


if __name__ == "__main__":
    sys.exit(main())
