"""Runs the scripts beside this file, each of which tells a fault from its mending by its exit code: 0 is right."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cdzoo

CASES = sorted(set(Path(__file__).parent.glob("*.py")) - {Path(__file__)})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case):
    env = {**os.environ, "PYTHONPATH": str(Path(cdzoo.__file__).parents[1])}
    done = subprocess.run([sys.executable, case], capture_output=True, text=True, errors="replace", env=env, timeout=180)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
