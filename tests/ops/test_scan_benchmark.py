"""The scan benchmarks run, and their alternatives compute the same function."""

import importlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

import cdzoo
from cdzoo.ops import scan_cpu, set_scan_backend, ss2d_scan
from cdzoo.ops.build import find_compiler

SCRIPT = Path(cdzoo.__file__).parents[1] / "benchmarks" / "scan.py"


@pytest.mark.slow
def test_times_every_backend_on_the_same_case(tmp_path):
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


def test_published_algorithm_gives_the_same_results(monkeypatch):
    """A comparison of times requires equal results."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    scan = importlib.import_module("scan")
    (tensors,) = scan.make(scan.Case("check", 2, 4, ((12, 5),)), "cpu")
    with set_scan_backend("reference"):
        torch.testing.assert_close(scan.published(*tensors), ss2d_scan(*tensors), rtol=1e-5, atol=1e-5)


def test_vmamba_layout_gives_the_same_results(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    module = importlib.import_module("scan_cuda")
    args = module.problem(2, 4, 6, 3, torch.float32, "cpu")
    with set_scan_backend("reference"):
        torch.testing.assert_close(module.vmamba_scan(args), ss2d_scan(*args), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_gpu_script_runs_on_the_cpu_within_its_budget(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    words = [sys.executable, str(SCRIPT.with_name("scan_cuda.py")), "--device", "cpu", "--quick", "--budget", "4"]
    done = subprocess.run([*words, "--out", str(tmp_path / "scan.json")], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "scan.json").read_text())
    assert report["correctness"] and report["scans"] and report["networks"] and report["skipped"]
    assert all(entry["correct"] for entry in report["correctness"])
    for entry in report["scans"]:
        assert all(times["min_ms"] > 0 for times in entry["times"].values()), entry


@pytest.mark.parametrize("form", ["wheel", "module", "built", "none"])
def test_existing_mamba_ssm_module_is_not_rebuilt(form, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    module = importlib.import_module("mamba_ssm_kernel")
    wheels, into = tmp_path / "wheels", tmp_path / "into"
    wheels.mkdir()
    into.mkdir()
    name = "selective_scan_cuda.cpython-311-x86_64-linux-gnu.so"
    if form == "wheel":
        with zipfile.ZipFile(wheels / "mamba_ssm-2.3.2.post1-cp311-cp311-linux_x86_64.whl", "w") as archive:
            archive.writestr(name, b"code")
            archive.writestr("mamba_ssm/__init__.py", b"")
    elif form != "none":
        ((wheels if form == "module" else into) / name).write_bytes(b"code")
    assert module.take_compiled(wheels, into) == (form != "none")
    assert [file.name for file in into.iterdir()] == ([] if form == "none" else [name])


@pytest.mark.parametrize("kind", ["static", "cuda"])
def test_the_documented_tables_are_those_of_the_reports(kind, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    tables = importlib.import_module("scan_table")
    results = SCRIPT.parent / "results"
    report = json.loads((results / f"scan_{kind}.json").read_text())
    if kind == "static":
        text = tables.table(report, json.loads((results / "scan_static_baseline.json").read_text()))
    else:
        text = tables.cuda_table(report)
    assert text in (SCRIPT.parents[1] / "docs" / "scan.md").read_text()
