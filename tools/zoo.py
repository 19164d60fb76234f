"""Write docs/zoo.md: every architecture with its card, size, cost, and the license of the authors' code."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path

from cards import about, families

from cdzoo.benchmark import read_run
from cdzoo.cli.main import exit_code
from cdzoo.convert import convertible
from cdzoo.errors import InputError
from cdzoo.factory import list_architectures
from cdzoo.flops import CONVENTION
from cdzoo.io.files import write_text
from cdzoo.registry import MODELS
from cdzoo.tables import render
from cdzoo.weights.checkpoints import list_checkpoints

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "zoo.md"
COSTS = ROOT / "results" / "costs.json"
LATENCY = ROOT / "benchmarks" / "results" / "latency_cpu.json"
BASE = "fc_siam_diff"
LATENCY_NOTE = """
Latency: forward pass of one pair, fp32, on {threads} threads of a CPU ({name}), torch {torch}: median of {rounds}
interleaved rounds in one run, `cdzoo benchmark '*' --against fc_siam_diff --format json -o FILE`, stored in
benchmarks/results/latency_cpu.json. Compare the ratios, to `fc_siam_diff`; the times depend on the machine.
"""
COLUMNS = {
    "model": "model",
    "card": "card",
    "aliases": "aliases",
    "params_m": "params M:.2f",
    "gmacs": "GMACs:.2f",
    "scan_g": "of which scan:.2f",
    "ms": "CPU ms:.0f",
    "ratio": "ratio:.1f",
    "official": "official checkpoints",
    "license": "authors' code (license)",
}
HEADER = """# Model zoo

The networks of other authors are verified against their official code: with the same parameters, the outputs are equal, which the
tests check. `cdzoo.convert.from_official` and `to_official` convert between official parameter names and those of cdzoo. Models
with "yes" in the column "official checkpoints" load converted checkpoints, which are not included. The code of cdzoo is
Apache-2.0 and was written from the papers. The last column is the license of the official code, which may also apply to its
checkpoints. The card of a family has its paper, components, weights, recipes and scores;
[Which model for which images](choose.md) helps to choose.

Counted by `cdzoo flops '*' --format json -o results/costs.json`; `python tools/zoo.py` writes this page.

"""
NOTES = """
- The 11.9 M parameters of BIT are those of its checkpoints; 3.0 M are used, the others (the fourth stage and the classifier of a
  ResNet-18) have no gradient.
- The paper of ChangeMamba states 17.1, 49.9 and 84.7 M parameters; its code builds the networks above.
- Other tools count 202.6 GMACs for the official code of ChangeFormer, because they count transposed convolutions at the size of
  their output.
- `mf_vmamba` and `mfvmamba_altdec` have the decoder of the only public code of the paper. It differs from the decoder that the
  paper describes, whose large-kernel attention and weights are not public.
- Of the parameters of ChangeViT, 8.9 M (the fourth stage and the classifier of a ResNet-18) have no gradient. CDMamba has 1.6 M
  fewer than its official code, which creates them without using them. The authors of BTC state 96 parameters more for `btc_t`.
- The authors of the FC networks published training settings for OSCD and Air Change only.
"""
CHECKPOINTS = """
## Checkpoints of the authors

Where they are, under which terms, and the score that the authors claim. Nothing is downloaded. The same list, with the command
that converts each file, is printed by `cdzoo list --kind checkpoint`. "Unstated" means that no license permits any use.

"""
TERMS = {"network": "network", "use": "use", "license": "license", "data": "training data", "score": "claimed"}
TERMS |= {"place": "place", "file": "file", "note": "remark"}


def checkpoints() -> str:
    """Return the section about checkpoints of the authors."""
    rows = []
    for name, found in list_checkpoints():
        use = found.use if found.place else ""
        rows.append({**dataclasses.asdict(found), "network": name, "use": use, "place": found.place or "none"})
    return CHECKPOINTS + render(rows, TERMS, "markdown")


def page() -> str:
    """Return the page as text.

    Raises:
        InputError: The costs of a model are missing.
    """
    groups = list_architectures()
    costs = {row["registered"]: row for row in json.loads(COSTS.read_text(encoding="utf-8"))}
    if missing := sorted(groups.keys() - costs.keys()):
        raise InputError(f"{COSTS}: lacks {', '.join(missing)}; run cdzoo flops '*' --format json -o {COSTS}")
    run = read_run(str(LATENCY))
    medians = {timing.case.model: timing.median_s or math.nan for timing in run.results}
    cards = {name: f"[{about(family)[0]}](zoo/{family}.md)" for family, names in families().items() for name in names}
    rows = []
    for name in sorted(groups):
        config = MODELS.get(name)()
        row = {
            **costs[name],
            "ms": 1e3 * medians[name],
            "ratio": medians[name] / medians[BASE],
            "model": f"`{name}`",
            "aliases": ", ".join(f"`{alias}`" for alias in groups[name]),
            "card": cards[name],
            "official": "yes" if convertible(name) else "",
            "license": config.original or "not public",
        }
        rows.append(row)
    table = render(rows, COLUMNS, "markdown")
    hardware = run.environment.hardware
    note = LATENCY_NOTE.format(
        threads=hardware.threads, name=hardware.name, torch=run.environment.versions["torch"], rounds=run.rounds
    )
    return HEADER + table + f"\nInput: one pair of 256 x 256 pixels. {CONVENTION}\n" + note + NOTES + checkpoints()


if __name__ == "__main__":
    sys.exit(exit_code("zoo", lambda: write_text(PAGE, page())))
