"""`cdzoo compare`: groups, spread, paired tests, costs, and the page."""

import dataclasses
import re

import pytest
import torch

from cdzoo.benchmark import BenchmarkRun, Case, Timing
from cdzoo.bootstrap import ImageScore
from cdzoo.cli.main import main
from cdzoo.compare import Run, read_runs, run_costs, score_rows, worst_rows
from cdzoo.compare import page as page_module
from cdzoo.errors import InputError
from cdzoo.metrics import ChangeCounts
from cdzoo.protocol import Protocol
from cdzoo.results import Environment, ProtocolRecord, Results

IMAGES = [ImageScore(f"i{n}", 100 + n, 10 + 3 * n, 20 + n, 1000) for n in range(20)]


def result(source, better=0, protocol=None, images=IMAGES, split="test", **changes):
    images = [dataclasses.replace(one, tp=one.tp + better, fn=one.fn - better) for one in images]
    counts = ChangeCounts()
    total = sum((one.confusion for one in images[1:]), images[0].confusion)
    scores = dataclasses.replace(counts.summary(), **total.to_dict())
    record = ProtocolRecord.of(protocol or Protocol("folder"), {split: [one.name for one in images]})
    return Results("glmamba_tiny", split, scores, record, source=source, per_image=images, **changes)


def test_seeds_are_one_row_and_conditions_are_apart(tmp_path):
    for seed, better in ((0, 5), (1, 9)):
        (tmp_path / "a" / f"seed_{seed}").mkdir(parents=True)
        result(f"a/seed_{seed}", better).write(tmp_path / "a" / f"seed_{seed}" / "results.json")
    result("b").write(tmp_path / "b.json")
    result("b", protocol=Protocol("folder", threshold=0.3)).write(tmp_path / "low.json")
    result("b", protocol=Protocol("folder", tile=128)).write(tmp_path / "tiles.json")
    result("b", split="val").write(tmp_path / "val.json")
    result("b", images=IMAGES[1:]).write(tmp_path / "fewer.json")
    result("b", provenance="quoted").write(tmp_path / "quoted.json")
    names = ("b", "low", "tiles", "val", "fewer", "quoted")
    groups = read_runs([str(tmp_path / "a"), *(str(tmp_path / f"{name}.json") for name in names)])
    # Models may have thresholds of their own.
    together = [str(tmp_path / "a"), "b", "low"]
    assert [[run.label for run in runs] for runs in groups.values()] == [together, *([name] for name in names[2:])]
    seeds, single, _ = score_rows(next(iter(groups.values())))
    assert seeds["seeds"] == 2 and re.fullmatch(r"\d\d\.\d\d \+- \d\.\d\d", seeds["f1"]) and "+-" not in single["f1"]
    # The mean over seeds may differ from the F1 of their added pixels by a little.
    assert single["gain"].startswith("-") and single["p"] < 0.01
    low, high = map(float, seeds["interval"].split(" to "))
    assert low < float(seeds["f1"].split()[0]) < high


def test_a_file_of_several_runs(tmp_path):
    from cdzoo.io.files import write_json

    write_json(tmp_path / "r.json", {"runs": [result("runs/x/seed_0"), result("runs/x/seed_1"), result("y")], "spread": {}})
    (runs,) = read_runs([str(tmp_path / "r.json")]).values()
    assert [(run.label, len(run.results)) for run in runs] == [("runs/x", 2), ("y", 1)]


def test_other_models_are_no_seeds(tmp_path):
    for seed, changes in enumerate(({}, {"training": {"epochs": 1, "seed": 1}}, {"model": "fc_ef"})):
        (tmp_path / f"seed_{seed}").mkdir()
        results = dataclasses.replace(result("x", training={"epochs": 2, "seed": seed}), **changes)
        results.write(tmp_path / f"seed_{seed}" / "results.json")
    (runs,) = read_runs([str(tmp_path)]).values()
    assert [len(run.results) for run in runs] == [1, 1, 1] and runs[2].label.endswith("seed_2")


def test_the_page_is_no_input(tmp_path, capsys):
    result("a").write(tmp_path / "a.html")
    before = (tmp_path / "a.html").read_bytes()
    assert main(["compare", str(tmp_path / "a.html"), "--html", str(tmp_path / "a.html")]) == 2
    assert "a.html" in capsys.readouterr().err and (tmp_path / "a.html").read_bytes() == before


def test_worst_images_are_those_of_all_runs(tmp_path):
    result("a").write(tmp_path / "a.json")
    result("b", 4).write(tmp_path / "b.json")
    (runs,) = read_runs([str(tmp_path / "a.json"), str(tmp_path / "b.json")]).values()
    rows = worst_rows(runs, 3)
    assert [row["image"] for row in rows] == ["i19", "i18", "i17"] and float(rows[0]["b"]) > float(rows[0]["a"])
    assert rows[0]["wrong pixels"] == 2 * (10 + 57 + 20 + 19) - 4


def test_names_with_colons_are_headings(tmp_path, capsys):
    from cdzoo.io.files import write_json

    names = ["hf-hub:owner/a", "hf-hub:owner/b"]
    write_json(tmp_path / "r.json", {"runs": [result(name, 4 * number) for number, name in enumerate(names)]})
    assert main(["compare", str(tmp_path / "r.json"), "--html", str(tmp_path / "c.html")]) == 0
    worst = capsys.readouterr().out.split("worst images")[1]
    assert all(name in worst and f"<th>{name}</th>" in (tmp_path / "c.html").read_text() for name in names)


def test_the_latency_is_that_of_the_model(tmp_path):
    case = Case("b", "forward", 256, 1, "fp32", False, "cpu")
    timings = [Timing(dataclasses.replace(case, model="a"), median_s=1.0), Timing(case, median_s=0.25)]
    (tmp_path / "times.json").write_text(BenchmarkRun(Environment.current(), {}, 3, 1, timings).to_json())
    assert run_costs(Run("x", [result("b")], "b"), tmp_path / "times.json") == {"latency_ms": 250.0}
    assert run_costs(Run("x", [result("c")], "c"), tmp_path / "times.json") == {}
    costs = run_costs(Run("x", [result("y")], "glmamba_tiny.synthetic"))
    assert costs["params_m"] == pytest.approx(1.38, abs=0.01) and costs["gmacs"] == pytest.approx(0.61, abs=0.01)


def test_errors(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(InputError, match=r"empty: no results; evaluate a run with: cdzoo eval"):
        read_runs([str(tmp_path / "empty")])
    for name in ("bad.json", "none.json"):
        with pytest.raises(InputError, match=rf"{name}"):
            read_runs([str(tmp_path / name)])
    assert main(["compare", "x", "--pictures"]) == 2 and "name it with --html" in capsys.readouterr().err
    assert main(["compare", "x", "--html", "x.pdf"]) == 2 and "the page is HTML" in capsys.readouterr().err


def test_the_page_is_one_file(tiny, pair_folder, tmp_path, capsys, monkeypatch):
    pairs = str(pair_folder(4, 300))
    files = []
    for name in ("first", "second"):
        torch.manual_seed(len(name))
        tiny().save_pretrained(tmp_path / name)
        (tmp_path / name / "log.csv").write_text("step,epoch,loss,f1\n2,1,0.9,0.1\n4,2,0.5,\n6,3,nan,0.4\n")
        files.append(str(tmp_path / f"{name}.json"))
        words = ["eval", "--model", str(tmp_path / name), "--data", pairs, "--protocol", "levir_256", "--device", "cpu"]
        assert main([*words, "--scale", "0.5", "--augment", "swap", "--out", files[-1]]) == 0
    capsys.readouterr()
    shown, draw = [], page_module.sample_picture
    monkeypatch.setattr(page_module, "sample_picture", lambda *args: shown.append(args[3]) or draw(*args))
    page = tmp_path / "page.html"
    assert main(["compare", *files, "--html", str(page), "--pictures", "--worst", "2"]) == 0
    out, text = capsys.readouterr().out, page.read_text()
    assert re.search(r"params M +GMACs\nfirst +1 .* 0\.35 +0\.\d\d\n", out) and "worst images" in out
    assert [(one.window, one.scale, one.augment) for one in shown] == [(256, 0.5, "swap")] * 2, "predicted as they were scored"
    assert text.count("<table>") == 2 and text.count("data:image/jpeg;base64,") == 2 and text.count("<svg") == 1
    assert "first" in text and not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert str(tmp_path) not in re.sub(r"data:image[^\"]+", "", text)
