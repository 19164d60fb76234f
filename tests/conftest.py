"""Small models, pairs and folders that the tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import cdzoo

TINY = {"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2}
"""Arguments of the smallest useful `vss` backbone."""


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def tiny():
    """Build a GLMamba of a few ten thousand parameters, with any overrides."""

    def build(**overrides):
        if "backbone" not in overrides:
            overrides["backbone_kwargs"] = {**TINY, **overrides.get("backbone_kwargs", {})}
        return cdzoo.create_model("glmamba_tiny", **overrides)

    return build


@pytest.fixture
def pair_folder(tmp_path):
    """Write a folder of pairs in which a bright square is the change; return the folder."""

    def write(count: int = 4, size: int = 48, layout=("A", "B", "label"), name: str = "pairs", ones: int = 255) -> Path:
        rng = np.random.default_rng(0)
        root = tmp_path / name
        for folder in layout:
            (root / folder).mkdir(parents=True)
        for index in range(count):
            before = rng.integers(60, 120, (size, size, 3), dtype=np.uint8)
            after, mask = before.copy(), np.zeros((size, size), np.uint8)
            y, x = rng.integers(0, size // 2, 2)
            after[y : y + size // 3, x : x + size // 3] = 230
            mask[y : y + size // 3, x : x + size // 3] = ones
            for folder, pixels in zip(layout, (before, after, mask), strict=True):
                Image.fromarray(pixels).save(root / folder / f"pair_{index}.png")
        return root

    return write


@pytest.fixture
def pair():
    """Return two random images (2, 3, 33, 47)."""
    return torch.randn(2, 3, 33, 47), torch.randn(2, 3, 33, 47)
