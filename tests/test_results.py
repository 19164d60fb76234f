"""Results: JSON round trip, files of earlier versions, and access by key."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from cdzoo.ablate.report import Row
from cdzoo.bootstrap import confidence_intervals, paired_difference
from cdzoo.data.protocols import get_protocol
from cdzoo.errors import InputError
from cdzoo.metrics import ChangeCounts
from cdzoo.results import Environment, ProtocolRecord, Results

ROOT = Path(__file__).parents[1]


@pytest.fixture
def results():
    record = ProtocolRecord.of(get_protocol("levir_256"), {"val": ["b", "a"]})
    return Results("glmamba_tiny", "val", ChangeCounts().summary(), record, Environment.current(), step=3, data={"data": "x"})


def test_files_round_trip(results, tmp_path):
    results = results.with_entries({"seed": 4, "remark": [1]})
    assert results.seed == 4 and results.extra == {"remark": [1]}
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results
    data = json.loads((tmp_path / "results.json").read_text())
    assert data == results.to_dict() and data["remark"] == [1] and "trained" not in data
    assert data["protocol"]["name"] == "levir_256" and data["protocol"]["splits"]["val"]["samples"] == 2


def test_access_by_key(results):
    assert results["f1"] == results.scores.f1 and results["threshold"] == 0.5
    assert results["split"] == "val" and results["scores"]["sweep"][0]["threshold"] == 0.05
    assert results["protocol"]["hash"] == results.protocol.hash == results.protocol["hash"]
    with pytest.raises(KeyError):
        results["nothing"]


@pytest.mark.parametrize(
    "file", sorted((ROOT / "cdzoo/weights/bundled").glob("*/results.json")), ids=lambda file: file.parent.name
)
def test_bundled_results_are_read_completely(file):
    data = json.loads(file.read_text())
    data["environment"]["processes"] = 1  # added later
    assert Results.read(file).to_dict() == data


@pytest.mark.parametrize("file", sorted((ROOT / "results").glob("measured_*.json")), ids=lambda file: file.stem)
def test_tracked_ablation_rows_are_read_completely(file):
    rows = json.loads(file.read_text())["rows"]
    for row in rows:
        if "scores" in row:  # else not run yet
            row["environment"]["processes"] = 1  # added later
            row.setdefault("thresholds", [])
            row.setdefault("hours", [])
    assert rows and [Row.from_dict(row).to_dict() for row in rows] == rows


def test_protocol_fields_of_other_versions_are_kept(results):
    data = results.to_dict()
    data["protocol"]["former"] = 1
    assert Results.from_dict(data).to_dict() == data


def test_invalid_files(results, tmp_path):
    file = tmp_path / "results.json"
    with pytest.raises(InputError, match=r"results\.json: cannot be read"):
        Results.read(file)
    for content in ("[1]", "{", json.dumps({**results.to_dict(), "scores": {"f1": 1}})):
        file.write_text(content)
        with pytest.raises(InputError, match=r"results\.json: not a results file"):
            Results.read(file)


def test_environment_contains_the_number_of_processes():
    environment = Environment.current("cpu", 2)
    assert environment.to_dict()["processes"] == 2 and "torch" in environment.versions
    assert Environment.from_dict(environment.to_dict()) == environment
    assert dataclasses.replace(environment, commit=None).to_dict()["commit"] is None


def test_the_page_of_the_weights_quotes_the_results_file():
    runs = [
        Results.from_dict(run)
        for run in json.loads((ROOT / "results" / "evaluations" / "zero_shot_levir.json").read_text())["runs"]
    ]
    text = (ROOT / "docs" / "weights.md").read_text()
    for run in runs:
        assert len(run.per_image) == run.intervals.images == 35 and run.intervals == confidence_intervals(run.per_image)
        shown = [f"{100 * run[name]:.2f}" for name in ("precision", "recall", "f1", "iou", "oa", "kappa")]
        assert f"protocol `{run.protocol.name}` | {' | '.join(shown)} |" in text
        f1 = run.intervals.scores["f1"]
        for value in (f1.low, f1.high, run.scores.best_threshold_f1, run.scores.mean_image_f1):
            assert f"{100 * value:.2f}" in text


def test_the_page_about_fine_tuning_quotes_its_results_file():
    runs = [
        Results.from_dict(run)
        for run in json.loads((ROOT / "results" / "evaluations" / "finetune_clcd.json").read_text())["runs"]
    ]
    text = " ".join((ROOT / "docs" / "finetune.md").read_text().split())
    for run in runs:
        f1 = run.intervals.scores["f1"]
        assert re.search(rf"{100 * run['f1']:.2f} \((95 % interval )?{100 * f1.low:.2f} to {100 * f1.high:.2f}\)", text)
    found = paired_difference(runs[0].per_image, runs[1].per_image)
    low, high = 100 * found.interval.low, 100 * found.interval.high
    assert f"{100 * found.difference:+.2f} ({low:+.2f} to {high:+.2f}, p {found.p:.3f})" in text


def test_the_text_of_results_is_short(results):
    first, second = repr(results).splitlines()
    assert first == f"Results(glmamba_tiny on the val split, protocol {results.protocol.name})"
    assert second.startswith("  Scores(f1 0.0000, iou ") and second.endswith("; 0 images, threshold 0.5)") and len(second) < 140
