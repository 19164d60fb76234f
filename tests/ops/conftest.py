import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # scan_cases, beside the tests that use it


@pytest.fixture(autouse=True)
def _automatic_backend(monkeypatch):
    from cdzoo.ops import set_scan_backend

    monkeypatch.delenv("CDZOO_SCAN", raising=False)
    monkeypatch.delenv("CDZOO_SCAN_ISA", raising=False)
    yield
    set_scan_backend(None)


@pytest.fixture(autouse=True)
def _one_thread():
    """Use one thread: the reference makes thousands of small calls, and synchronizing threads at each one is slow."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
