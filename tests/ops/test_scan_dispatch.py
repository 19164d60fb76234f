"""Choice of the backend: automatic, overridden, and the reasons given for unusable ones."""

import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from scan_cases import map_problem

from cdzoo.ops import backends, build, scan_backends, scan_cpu, scan_reference, set_scan_backend, ss2d_scan
from cdzoo.ops.selfcheck import disagreement

native = pytest.mark.skipif(not scan_cpu.built(), reason="no native library")


@pytest.fixture(autouse=True)
def _fresh():
    backends.forget()
    yield
    backends.forget()


def test_every_backend_is_listed_with_a_reason():
    found = {b.name: b for b in scan_backends()}
    assert list(found) == ["triton", "mamba_ssm", "cpu", "reference"]
    assert found["reference"].usable and sum(b.active for b in found.values()) >= 1
    assert all(b.usable or len(b.reason) > 10 for b in found.values())


@native
def test_native_is_preferred_on_the_cpu():
    assert backends.choose("cpu") == "cpu"


def test_environment_overrides(monkeypatch):
    monkeypatch.setenv("CDZOO_SCAN", "reference")
    assert backends.choose("cpu") == "reference"
    monkeypatch.setenv("CDZOO_SCAN", "fastest")
    with pytest.raises(ValueError, match=r"CDZOO_SCAN.*'fastest'.*known backends: triton, mamba_ssm, cpu, reference"):
        ss2d_scan(*map_problem(1, 2, 2, 2, 1))


def test_set_and_restore():
    before = backends.choose("cpu")
    with set_scan_backend("reference"):
        assert backends.choose("cpu") == "reference"
    assert backends.choose("cpu") == before
    set_scan_backend("reference")
    assert backends.choose("cpu") == "reference"
    with pytest.raises(ValueError, match="known backends"):
        set_scan_backend("cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_an_unusable_choice_raises_with_the_reason(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(RuntimeError, match=r"'mamba_ssm'.*CUDA"):
        set_scan_backend("mamba_ssm")
    monkeypatch.setenv("CDZOO_SCAN", "mamba_ssm")
    with pytest.raises(RuntimeError, match="'mamba_ssm' was asked for"):
        ss2d_scan(*map_problem(1, 2, 2, 2, 1))


def test_float64_always_runs_on_reference():
    assert backends.backend_for("cpu", torch.float64) is scan_reference


def test_falling_back_to_reference_warns_once(monkeypatch, caplog):
    monkeypatch.setattr(scan_cpu, "unavailable", lambda: "not built; run `python -m cdzoo.ops.build`")
    with caplog.at_level(logging.WARNING, logger="cdzoo.ops"):
        for _ in range(2):
            ss2d_scan(*map_problem(1, 2, 2, 2, 1))
    assert len(caplog.records) == 1
    assert "reference" in caplog.text and "python -m cdzoo.ops.build" in caplog.text


def test_reference_scan_warns_on_cuda(monkeypatch):
    monkeypatch.setattr(backends, "why_not", lambda name, device: None if name == "reference" else "broken")
    with pytest.warns(RuntimeWarning, match=r"MANY TIMES SLOWER.*triton: broken"):
        assert backends.choose("cuda") == "reference"


def test_a_wrong_backend_fails_its_self_check(monkeypatch):
    def forward(*args):
        y, states = scan_reference.forward(*args)
        return y * 1.001, states

    wrong = SimpleNamespace(__name__="wrong", unavailable=lambda: None, forward=forward, backward=scan_reference.backward)
    assert "forward differs" in disagreement(wrong, torch.device("cpu"))
    monkeypatch.setattr(backends, "load", lambda name: wrong if name == "cpu" else scan_reference)
    assert backends.why_not("cpu", "cpu").startswith("self-check failed: forward differs")
    assert backends.choose("cpu") == "reference"


def test_crashing_backend_is_listed_as_unusable(monkeypatch):
    def load(name):
        raise OSError("libcudart.so.99: cannot open shared object file")

    monkeypatch.setattr(backends, "load", load)
    assert "libcudart.so.99" in backends.why_not("cpu", "cpu")


def test_missing_library_raises_with_the_build_command(monkeypatch, tmp_path):
    monkeypatch.setattr(scan_cpu, "library_path", lambda isa: tmp_path / f"{isa}.so")
    assert "python -m cdzoo.ops.build" in scan_cpu.unavailable()


def test_other_shared_libraries_are_rejected(monkeypatch, tmp_path):
    for isa in ("avx512", "avx2", "base"):
        (tmp_path / f"{isa}.so").write_bytes(b"not a library")
    monkeypatch.setattr(scan_cpu, "library_path", lambda isa: tmp_path / f"{isa}.so")
    assert "does not load" in scan_cpu.unavailable()


@native
def test_library_of_another_version_is_rejected(monkeypatch):
    monkeypatch.setattr(scan_cpu, "_ABI", 999)
    scan_cpu._open.cache_clear()
    try:
        assert "another version" in scan_cpu.unavailable()
    finally:
        scan_cpu._open.cache_clear()


def test_unsupported_instruction_set_raises(monkeypatch):
    monkeypatch.setenv("CDZOO_SCAN_ISA", "altivec")
    assert "CDZOO_SCAN_ISA=altivec" in scan_cpu.unavailable()


def test_missing_compiler_raises(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(build.BuildError, match="install one"):
        build.build(tmp_path)
    assert build.main() == 1


@pytest.mark.slow
@pytest.mark.skipif(build.find_compiler() is None, reason="no compiler")
def test_build_makes_a_library_that_loads(tmp_path):
    made = build.build(tmp_path, only=["base"])
    base = build.library_path("base", tmp_path)
    assert scan_cpu._open(base, "base").cdzoo_scan_abi() == scan_cpu._ABI
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in made}


def test_import_prints_nothing_and_is_fast():
    code = (
        "import sys, cdzoo.ops; bad = [m for m in ('triton', 'mamba_ssm', 'cdzoo.ops.scan_triton', 'ctypes.util')"
        " if m in sys.modules and m.startswith('cdzoo')]; assert not bad, bad"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
