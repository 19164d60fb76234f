"""Write docs/zoo.md: every architecture with its paper, size, cost, and the license of the authors' code."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from cdzoo.cli.main import exit_code
from cdzoo.convert import convertible
from cdzoo.factory import list_architectures
from cdzoo.flops import CONVENTION, count_models
from cdzoo.io.files import write_text
from cdzoo.registry import COMPONENTS, MODELS
from cdzoo.tables import render
from cdzoo.weights.checkpoints import list_checkpoints

PAGE = Path(__file__).parents[1] / "docs" / "zoo.md"
COLUMNS = {
    "model": "model",
    "aliases": "aliases",
    "paper": "paper",
    "params_m": "params M:.2f",
    "gmacs": "GMACs:.2f",
    "scan_g": "of which scan:.2f",
    "official": "official checkpoints",
    "license": "authors' code (license)",
}
HEADER = """# Model zoo

The networks of other authors are verified against their official code: with the same parameters, the outputs are equal, which the
tests check. `cdzoo.convert.from_official` and `to_official` convert between official parameter names and those of cdzoo. Models
with "yes" in the column "official checkpoints" load converted checkpoints, which are not included. The code of cdzoo is
Apache-2.0 and was written from the papers. The last column is the license of the official code, which may also apply to its
checkpoints.

Counted by `python tools/zoo.py`, which writes this page.

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
    for name, found in list_checkpoints(known=[*MODELS, *COMPONENTS["backbone"]]):
        use = found.use if found.place else ""
        rows.append({**dataclasses.asdict(found), "network": name, "use": use, "place": found.place or "none"})
    return CHECKPOINTS + render(rows, TERMS, "markdown")


def page() -> str:
    """Return the page as text."""
    groups = list_architectures()
    rows = []
    for cost in count_models(sorted(groups)):
        config = MODELS.get(cost.model)()
        row = {
            **cost.to_dict(),
            "model": f"`{cost.model}`",
            "aliases": ", ".join(f"`{name}`" for name in groups[cost.model]),
            "paper": config.paper,
            "official": "yes" if convertible(cost.model) else "",
            "license": config.original or "not public",
        }
        rows.append(row)
        print(f"\r{len(rows)} of {len(groups)} counted", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    table = render(rows, COLUMNS, "markdown")
    return HEADER + table + f"\nInput: one pair of 256 x 256 pixels. {CONVENTION}\n" + NOTES + checkpoints()


if __name__ == "__main__":
    sys.exit(exit_code("zoo", lambda: write_text(PAGE, page())))
