"""A small grid of trainings, and the command that reads it."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]
BACKBONE = {"backbone_kwargs": {"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2}}
GRID = {
    "title": "Two fusions",
    "model": "glmamba_tiny",
    "data": "somewhere",
    "seeds": [0, 1],
    "train": {"epochs": 1, "batch_size": 2, "crop": 32, "lr": 1e-3},
    "tables": {
        "first": {
            "title": "Fusions",
            "rows": {"sum": {"fusion": "sum", **BACKBONE}, "difference": {"fusion": "diff", **BACKBONE}},
        },
        "second": {"title": "One of them", "rows": {"again": {"fusion": "diff", **BACKBONE}}},
    },
}


def command():
    """Return the main function of tools/ablate.py."""
    spec = importlib.util.spec_from_file_location("ablate_tool", ROOT / "tools" / "ablate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main
