"""The benchmark of the scan runs, and measures what it says."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import cdzoo
from cdzoo.ops import scan_cpu, set_scan_backend, ss2d_scan
from cdzoo.ops.build import find_compiler

SCRIPT = Path(cdzoo.__file__).parents[1] / "benchmarks" / "scan.py"


@pytest.mark.slow
def test_it_times_every_backend_on_the_same_case(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    words = [sys.executable, str(SCRIPT), "--quick", "--out", str(tmp_path / "scan.json")]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "scan.json").read_text())
    rates = report["roofline"]["exp_rates"]
    assert report["roofline"]["exp_per_s"] == max(rates.values()) and ("own" in rates) == bool(
        scan_cpu.built() and find_compiler()
    )
    (case,) = report["cases"]
    names = {*(f"cpu-{isa}" for isa in scan_cpu.built()), "reference", "published"}
    for mode in ("forward", "training"):
        assert case[mode].keys() == names
        assert all(entry["min_ms"] > 0 and entry["times_roofline"] > 0 for entry in case[mode].values())
        assert case[mode]["reference"]["speedup_over_reference"] == 1


def test_the_published_algorithm_is_the_same_function(monkeypatch):
    """A faster rival would be no comparison if it computed something else."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    scan = importlib.import_module("scan")
    (tensors,) = scan.make(scan.Case("check", 2, 4, ((12, 5),)), "cpu")
    with set_scan_backend("reference"):
        torch.testing.assert_close(scan.published(*tensors), ss2d_scan(*tensors), rtol=1e-5, atol=1e-5)
