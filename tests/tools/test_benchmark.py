"""`cdzoo benchmark` runs every kind of case; what it measured is plausible, and two runs are compared case by case."""

import json

import pytest
import torch

import cdzoo.benchmark
from cdzoo.benchmark import Case, cases, compare, read_run, run
from cdzoo.cli.main import main
from cdzoo.errors import ConfigError, InputError


def test_sweeps_are_products_with_models_side_by_side():
    made = cases(["fc_ef", "bit"], size=[32, 64], mode=["forward"])
    assert [(one.model, one.size) for one in made] == [("fc_ef", 32), ("bit", 32), ("fc_ef", 64), ("bit", 64)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "forwards"}, "no mode 'forwards'.*'forward'"),
        ({"precision": "fp8"}, "no precision"),
        ({"size": 16}, "at least 32"),
    ],
)
def test_cases_that_cannot_be(change, message):
    with pytest.raises(ConfigError, match=message):
        Case("fc_ef", **change)


@pytest.mark.slow
def test_every_kind_of_case_is_timed_and_more_work_takes_more_memory():
    wanted = cases(["fc_ef", "glmamba_tiny"], mode=["forward", "training"], precision=["fp32", "bf16"], size=[32, 96], batch=[2])
    lines = []
    data = run(wanted, rounds=2, warmup=1, say=lines.append)
    assert len(lines) == 8 and len(data["results"]) == 16
    by_case = {(r["case"]["model"], r["case"]["mode"], r["case"]["precision"], r["case"]["size"]): r for r in data["results"]}
    for result in data["results"]:
        assert "error" not in result
        assert 0 < result["min_s"] <= result["median_s"] and result["pairs_per_s"] == pytest.approx(2 / result["median_s"])
        low, high = result["quartiles_s"]
        assert low <= result["median_s"] <= high
    for model in ("fc_ef", "glmamba_tiny"):
        forward, training = (by_case[model, mode, "fp32", 96] for mode in ("forward", "training"))
        assert training["peak_mb"] > 2 * forward["peak_mb"]
        assert forward["peak_mb"] > by_case[model, "forward", "fp32", 32]["peak_mb"]
        assert training["peak_mb"] > 3 * by_case[model, "forward", "fp32", 96]["weights_mb"]  # gradients and two moments
    assert data["environment"]["hardware"]["device"] == "cpu" and data["scan_backends"]["cpu"]


def test_peak_memory_is_that_of_the_tensors():
    def call():
        first = torch.zeros(1000, 1000)
        second = first + 1
        del first
        third = second + 1
        del second, third

    assert cdzoo.benchmark._peak_memory(call, "cpu") == pytest.approx(8e6, rel=0.01)


def test_a_case_that_cannot_run_leaves_the_others(monkeypatch):
    prepare = cdzoo.benchmark._prepare

    def fail(case, model):
        if case.model == "fc_siam_diff":
            raise RuntimeError("out of memory\ndetails")
        return prepare(case, model)

    monkeypatch.setattr("cdzoo.benchmark._prepare", fail)
    first, second = run(cases(["fc_siam_diff", "fc_ef"], size=[32]), rounds=1, warmup=0)["results"]
    assert first["error"] == "out of memory" and "median_s" not in first and "median_s" in second


class TestCommand:
    def test_table_file_and_comparison(self, capsys, tmp_path):
        words = ["benchmark", "fc_ef", "--size", "32", "--rounds", "2", "--warmup", "0", "--against", "fc_siam_diff"]
        assert main(words) == 0
        out = capsys.readouterr().out
        assert "to fc_siam_diff" in out and "interleaved rounds" in out and "fc_ef" in out
        files = [str(tmp_path / name) for name in ("a.json", "b.json")]
        for file in files:
            assert main([*words, "--format", "json", "-o", file]) == 0
        data = read_run(files[1])
        for result in data["results"]:
            result["median_s"] /= 4
        (tmp_path / "b.json").write_text(json.dumps(data))
        rows = compare(read_run(files[0]), read_run(files[1]))
        first = {r["case"]["model"]: r["median_s"] for r in read_run(files[0])["results"]}
        assert {row["model"]: row["first_ms"] for row in rows} == {k: 1e3 * v for k, v in first.items()}
        capsys.readouterr()
        assert main(["benchmark", "--compare", *files]) == 0
        assert "times faster" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "name the models to time"),
            (["fc_ef", "--rounds", "0"], "rounds must be at least 1"),
            (["fc_ef", "--device", "cuda:7"], "--device cuda:7: not available"),
            (["--compare", "a.json"], "--compare takes two files"),
            (["--compare", "a.json", "b.json"], "a.json: cannot be read"),
        ],
    )
    def test_bad_arguments(self, capsys, words, message):
        assert main(["benchmark", *words]) == 2
        assert message in capsys.readouterr().err


def test_runs_without_common_cases_and_foreign_files(tmp_path):
    one = run(cases(["fc_ef"], size=[32]), rounds=1, warmup=0)
    other = run(cases(["fc_ef"], size=[64]), rounds=1, warmup=0)
    with pytest.raises(InputError, match="no case in common"):
        compare(one, other)
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(InputError, match=r"x\.json: not written by cdzoo benchmark"):
        read_run(tmp_path / "x.json")
