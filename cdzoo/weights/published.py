"""The weights that exist. Those in the package lie in `bundled/MODEL.TAG`, each with a `pretrained.json` that describes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cdzoo.weights.registry import PretrainedCfg, register_pretrained

BUNDLED = Path(__file__).parent / "bundled"
DESCRIPTION_FILE = "pretrained.json"


def bundled_folder(cfg: PretrainedCfg) -> Path:
    """Return the folder of a weight that is part of the package."""
    return BUNDLED / cfg.file


def read_description(file: Path) -> PretrainedCfg:
    """Read a `PretrainedCfg` from JSON."""
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    return PretrainedCfg(**values)


for _file in sorted(BUNDLED.glob(f"*/{DESCRIPTION_FILE}")):
    register_pretrained(read_description(_file))
