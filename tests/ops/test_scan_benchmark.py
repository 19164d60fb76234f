"""The benchmark of the scan runs, and measures what it says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cdzoo
from cdzoo.ops import scan_cpu

SCRIPT = Path(cdzoo.__file__).parents[1] / "benchmarks" / "scan.py"


@pytest.mark.slow
def test_it_times_every_backend_on_the_same_case(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    words = [sys.executable, str(SCRIPT), "--quick", "--out", str(tmp_path / "scan.json")]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "scan.json").read_text())
    assert report["roofline"]["exp_per_s"] == max(report["roofline"]["exp_rates"].values()) > 0
    (case,) = report["cases"]
    names = {*(f"cpu-{isa}" for isa in scan_cpu.built()), "reference", "published"}
    for mode in ("forward", "training"):
        assert case[mode].keys() == names
        assert all(entry["min_ms"] > 0 and entry["times_roofline"] > 0 for entry in case[mode].values())
        assert case[mode]["reference"]["speedup_over_reference"] == 1
