"""Timings of all kinds of cases, files of runs, and comparisons."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

import cdzoo.benchmark
from cdzoo.benchmark import Case, cases, compare, read_run, run
from cdzoo.cli.main import main
from cdzoo.errors import ConfigError, InputError


def test_cases_are_products_with_models_side_by_side():
    made = cases(["fc_ef", "bit"], size=[32, 64], mode=["forward"])
    assert [(case.model, case.size) for case in made] == [("fc_ef", 32), ("bit", 32), ("fc_ef", 64), ("bit", 64)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "forwards"}, "mode must be 'forward' or 'training', got 'forwards'"),
        ({"precision": "fp8"}, "precision must be 'fp32' or 'bf16'"),
        ({"size": 16}, "size must be greater than or equal to 32"),
        ({"sizes": 64}, "no field 'sizes'. Did you mean 'size'"),
    ],
)
def test_invalid_cases(change, message):
    with pytest.raises(ConfigError, match=message):
        Case("fc_ef", **change)


@pytest.mark.slow
def test_all_kinds_of_cases_are_timed_and_training_takes_more_memory():
    wanted = cases(["fc_ef", "glmamba_tiny"], mode=["forward", "training"], precision=["fp32", "bf16"], size=[32, 96], batch=[2])
    lines = []
    result = run(wanted, rounds=2, warmup=1, report=lines.append)
    assert len(lines) == 8 and len(result.results) == 16
    peak = {(t.case.model, t.case.mode, t.case.precision, t.case.size): t.peak_mb for t in result.results}
    weights = {timing.case.model: timing.weights_mb for timing in result.results}
    for timing in result.results:
        assert timing.error is None
        assert 0 < timing.min_s <= timing.median_s and timing.pairs_per_s == pytest.approx(2 / timing.median_s)
        assert timing.quartiles_s[0] <= timing.median_s <= timing.quartiles_s[1]
    for model in ("fc_ef", "glmamba_tiny"):
        forward, training = (peak[model, mode, "fp32", 96] for mode in ("forward", "training"))
        assert training > 2 * forward and forward > peak[model, "forward", "fp32", 32]
        assert training > 3 * weights[model]  # gradients and two moments
    assert result.environment.hardware.device == "cpu" and result.scan_backends["cpu"]


def test_peak_memory_is_that_of_the_tensors():
    def call():
        first = torch.zeros(1000, 1000)
        second = first + 1
        del first
        third = second + 1
        del second, third

    assert cdzoo.benchmark._peak_memory(call, "cpu") == pytest.approx(8e6, rel=0.01)


def test_a_case_that_fails_does_not_stop_the_others(monkeypatch):
    prepare = cdzoo.benchmark._prepare

    def fail(case, model):
        if case.model == "fc_siam_diff":
            raise RuntimeError("out of memory\ndetails")
        return prepare(case, model)

    monkeypatch.setattr("cdzoo.benchmark._prepare", fail)
    first, second = run(cases(["fc_siam_diff", "fc_ef"], size=[32]), rounds=1, warmup=0).results
    assert first.error == "out of memory" and first.median_s is None and second.median_s > 0


class TestCommand:
    def test_table_file_and_comparison(self, capsys, tmp_path):
        words = ["benchmark", "fc_ef", "--size", "32", "--rounds", "2", "--warmup", "0", "--against", "fc_siam_diff"]
        assert main(words) == 0
        out = capsys.readouterr().out
        assert "to fc_siam_diff" in out and "interleaved rounds" in out and "fc_ef" in out
        files = [str(tmp_path / name) for name in ("a.json", "b.json")]
        for file in files:
            assert main([*words, "--format", "json", "-o", file]) == 0
        first, second = map(read_run, files)
        faster = [dataclasses.replace(old, median_s=old.median_s / 4) for old in first.results]
        (tmp_path / "b.json").write_text(dataclasses.replace(second, results=faster).to_json())
        found = compare(first, read_run(files[1]))
        assert [one.case for one in found] == [timing.case for timing in first.results]
        assert [one.first_ms for one in found] == [1e3 * timing.median_s for timing in first.results]
        assert all(one.speedup == pytest.approx(4) and one.memory == pytest.approx(1) for one in found)
        capsys.readouterr()
        assert main(["benchmark", "--compare", *files]) == 0
        assert "speedup" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "name the models to time"),
            (["fc_ef", "--rounds", "0"], "rounds must be at least 1"),
            (["fc_ef", "--device", "cuda:7"], "--device cuda:7: not available"),
            (["fc_ef", "--mode", "train"], "--mode: unknown value 'train'. Did you mean 'training'?"),
            (["fc_eff"], "Did you mean 'fc_ef'"),
            (["--compare", "a.json"], "--compare takes two files"),
            (["--compare", "a.json", "b.json"], "a.json: cannot be read"),
        ],
    )
    def test_invalid_arguments(self, capsys, words, message):
        assert main(["benchmark", *words]) == 2
        assert message in capsys.readouterr().err


def test_files_of_earlier_versions_are_read():
    path = Path(__file__).parents[2] / "benchmarks" / "results" / "zoo_cpu.json"
    stored, result = json.loads(path.read_text()), read_run(path)
    assert json.loads(result.to_json())["results"] == stored["results"]
    assert all(one.speedup == 1 for one in compare(result, result))


def test_runs_without_common_cases_and_other_files(tmp_path):
    one = run(cases(["fc_ef"], size=[32]), rounds=1, warmup=0)
    other = run(cases(["fc_ef"], size=[64]), rounds=1, warmup=0)
    with pytest.raises(InputError, match="no case in common"):
        compare(one, other)
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(InputError, match=r"x\.json: not written by cdzoo benchmark"):
        read_run(tmp_path / "x.json")
