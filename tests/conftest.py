"""Fixtures: small models, pairs and folders."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from PIL import Image

import cdzoo

sys.path.insert(0, str(Path(__file__).parent))  # for the modules that several tests import

from hub_server import TOKEN, Hub

# Machines with other work to do are slow: an example has no time limit.
hypothesis.settings.register_profile("cdzoo", deadline=None)
hypothesis.settings.load_profile("cdzoo")

HUB = Hub().start()
# Set before huggingface_hub is imported, which reads them once. No test can reach the real Hub.
os.environ.update(HF_ENDPOINT=HUB.url, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1")

os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="cdzoo_state_")  # hashes of imported files

TINY = {"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2}
"""Arguments of the smallest useful `vss` backbone."""


@pytest.fixture(autouse=True)
def _independent(monkeypatch):
    """Tests have the same random numbers, no files that other tests imported, and the proxies of their own environment."""
    torch.manual_seed(0)
    monkeypatch.setattr("urllib.request._opener", None)  # which keeps the proxies of its first request
    monkeypatch.setattr("cdzoo.imports._imported", {})


@pytest.fixture
def tiny():
    """Build a GLMamba with tens of thousands of parameters, with any options of `create_model`."""

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


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Return the local Hub, emptied, with an empty cache, a token, and short waits between retries."""
    import huggingface_hub.constants as constants

    HUB.reset()
    sleep = time.sleep
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub_cache"))
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return HUB
