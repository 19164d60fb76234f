"""Write docs/zoo.md: every architecture with its source, size, cost and the licence of the authors' code."""

from __future__ import annotations

import sys
from pathlib import Path

from cdzoo.convert import convertible
from cdzoo.factory import list_architectures
from cdzoo.flops import CONVENTION, count_models
from cdzoo.io.files import write_text
from cdzoo.registry import MODELS
from cdzoo.tables import render

PAGE = Path(__file__).parents[1] / "docs" / "zoo.md"
COLUMNS = {
    "model": "model",
    "presets": "presets",
    "paper": "paper",
    "params_m": "params M:.2f",
    "gmacs": "GMACs:.2f",
    "scan_g": "of which scan:.2f",
    "official": "official checkpoints",
    "licence": "authors' code (licence)",
}
HEADER = """# The zoo

Every rival is the network that its authors published: given their parameters it gives their numbers, which the tests check
against outputs of the official code. Names of parameters are ours; `cdzoo.convert.from_official` and `to_official` rename
them both ways. "Loads" says that official checkpoints can be converted, not that weights come with cdzoo. All code here is
Apache-2.0 and was written from the papers; the last column is the licence of the code that an official checkpoint comes from,
which may bind those who use the checkpoint.

Measured by `python tools/zoo.py`, which writes this page.

"""
NOTES = """
- BIT's 11.9 M parameters are those of its checkpoints; 3.0 M of them are used, the rest (the fourth stage and the classifier of a
  ResNet-18) take no gradient.
- The paper of ChangeMamba prints 17.1, 49.9 and 84.7 M parameters; its code builds those above.
- The authors' code of ChangeFormer counted by other tools gives 202.6 G: they count a transposed convolution at the size of its
  output.
- `mf_vmamba` and `mfvmamba_altdec` hold the decoder of the only public code that carries the paper's name. It is not the decoder
  that the paper describes, whose large-kernel attention is not public, and no weights of it are.
- The FC networks have no recipe for data sets other than OSCD and Air Change by their authors.
"""


def page() -> str:
    """Return the page as text."""
    groups = list_architectures()
    rows = []
    for cost in count_models(sorted(groups)):
        config = MODELS.get(cost.model)()
        row = {
            **cost.to_dict(),
            "model": f"`{cost.model}`",
            "presets": ", ".join(f"`{name}`" for name in groups[cost.model]),
            "paper": config.paper,
            "official": "load" if convertible(cost.model) else "",
            "licence": config.original or "none is public",
        }
        rows.append(row)
        print(f"\r{len(rows)} of {len(groups)} counted", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    table = render(rows, COLUMNS, "markdown")
    return HEADER + table + f"\nInput: one pair of 256 x 256 pixels. {CONVENTION}\n" + NOTES


if __name__ == "__main__":
    write_text(PAGE, page())
