"""Train a grid of components and seeds, and write tables: `python tools/ablate.py ablations/glmamba.yaml --out runs/ablation`.

Finished runs are skipped and interrupted ones resumed, so the same command can be repeated.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

import yaml

from cdzoo.ablate import read_grid, run_grid, write_report
from cdzoo.cli.main import exit_code
from cdzoo.errors import ConfigError
from cdzoo.imports import import_file
from cdzoo.io.plain_yaml import load_yaml

GRIDS = Path(__file__).parents[1] / "ablations"
# Only checks that every row trains; the scores are meaningless.
SMOKE = {"epochs": 1, "batch_size": 8, "crop": 32, "validate_every": 1, "warmup_steps": 2}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "grid", nargs="?", default=str(GRIDS / "glmamba.yaml"), help="YAML file of the grid; ablations/glmamba.yaml by default"
    )
    parser.add_argument(
        "settings", nargs="*", help="training settings that override those of the grid, as key=value, such as epochs=100"
    )
    parser.add_argument("--out", help="folder of runs and tables; runs/NAME by default")
    parser.add_argument("--data", help="folder of pairs, name of a data set, or synthetic:N; that of the grid by default")
    parser.add_argument("--protocol", help="protocol; that of the grid by default")
    parser.add_argument("--model", help="model whose components are replaced; that of the grid by default")
    parser.add_argument("--seeds", type=int, nargs="+", help="seeds; those of the grid by default")
    parser.add_argument("--rows", default="*", metavar="PATTERN", help="rows to train, by their labels; all by default")
    parser.add_argument("--processes", type=int, default=1, help="number of parallel runs; one per GPU, or a few on a CPU")
    parser.add_argument(
        "--smoke", action="store_true", help="one short epoch of one seed on a few scenes, to check that every row trains"
    )
    parser.add_argument(
        "--import", dest="imports", action="append", default=[], metavar="FILE.py", help="file with components of your own"
    )
    parser.add_argument("--tables", action="store_true", help="train nothing and write the tables of finished runs")
    chosen = parser.parse_args(arguments)
    return exit_code("ablate", functools.partial(ablate, chosen))


def ablate(chosen: argparse.Namespace) -> int:
    """Train and write tables; return the exit code."""
    for file in chosen.imports:
        import_file(file)
    changes = {"data": chosen.data, "protocol": chosen.protocol, "model": chosen.model, "seeds": chosen.seeds}
    changes["train"] = dict(_setting(word) for word in chosen.settings)
    if chosen.smoke:
        changes = {**changes, "data": chosen.data or "synthetic_plain:32", "seeds": (chosen.seeds or [0])[:1]}
        changes["train"] = {**SMOKE, **changes["train"]}
    grid = read_grid(chosen.grid, **changes)
    out = Path(chosen.out or f"runs/{Path(chosen.grid).stem}{'_smoke' if chosen.smoke else ''}")
    failures = [] if chosen.tables else run_grid(grid, out, chosen.processes, _say, chosen.rows)
    for failure in failures:
        print(f"ablate: failed: {failure}", file=sys.stderr)
    for written in write_report(grid, out):
        print(f"written: {written}")
    return 1 if failures else 0


def _say(line: str) -> None:
    print(line, flush=True)


def _setting(word: str) -> tuple[str, object]:
    key, equals, value = word.partition("=")
    if not equals:
        raise ConfigError(f"'{word}': settings of the training have the form key=value")
    try:
        return key, load_yaml(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"'{word}': the value is not YAML ({error})") from error


if __name__ == "__main__":
    sys.exit(main())
