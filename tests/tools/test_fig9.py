"""The figure of results: points, files, and the tracked results."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from cdzoo.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("fig9_tool", ROOT / "tools" / "fig9.py")
    module = sys.modules["fig9_tool"] = importlib.util.module_from_spec(spec)  # dataclasses look up their types in sys.modules
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path):
    """Two quoted models, and a measured one."""
    costs = [{"registered": "fc_ef", "trained_m": 1.0, "gmacs": 3.0}, {"registered": "bit_s4", "trained_m": 2.0, "gmacs": 2.0}]
    quoted = {"provenance": "quoted", "data": "D", "points": [{"label": "EF", "model": "fc_ef", "f1": 80.0}]}
    quoted["points"].append({"label": "unknown", "f1": 70.0, "params_m": 9})
    score = {"f1": {"mean": 0.5, "std": None, "values": [0.5]}}
    rows = {"BIT": {"model": "bit_s4"}, "halved": {"model": "fc_ef", "input_scale": 0.5}}
    alone = {"name": "alone", "title": "One model", "rows": {"BIT": {"model": "bit_s4"}}}
    measured = {
        "provenance": "measured",
        "grid": {"data": "E", "tables": [{"name": "zoo", "title": "Zoo", "rows": rows}, alone]},
        "rows": [{"table": "zoo", "label": label, "model": row["model"], "scores": score} for label, row in rows.items()],
    }
    for name, content in (("costs", costs), ("a", quoted), ("b", measured)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def test_points_have_the_counted_costs(tool, folder):
    points = {point.label: point for point in tool.read_points(folder)}
    assert (points["EF"].provenance, points["EF"].f1, points["EF"].params_m, points["EF"].gmacs) == ("quoted", 80.0, 1.0, 3.0)
    assert (points["unknown"].params_m, points["unknown"].gmacs) == (9, None)
    assert (points["BIT"].provenance, points["BIT"].f1, points["BIT"].gmacs) == ("measured", 50.0, 2.0)
    assert points["BIT"].data == points["halved"].data == "Zoo (E, test split)" and len(points) == 4
    assert points["halved"].gmacs == 0.75, "of images of half the size"


def test_a_new_row_adds_a_point_and_pictures_are_written(tool, folder, capsys):
    assert tool.main(["--results", str(folder), "--out", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("4 points, 2 of them quoted")
    first = (folder / "fig9.svg").read_text()
    content = json.loads((folder / "a.json").read_text())
    content["points"].append({"label": "another", "model": "bit_s4", "f1": 75.0})
    (folder / "a.json").write_text(json.dumps(content))
    assert tool.main(["--results", str(folder), "--out", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("5 points, 3 of them quoted")
    assert len((folder / "fig9.svg").read_text()) > len(first)
    with Image.open(folder / "fig9.png") as picture:
        assert picture.width > 1000 and picture.height > 800  # two rows, as the two data sets cannot share axes


def test_pareto_front(tool):
    points = [(4.0, 9.0), (1.0, 5.0), (2.0, 4.0), (3.0, 8.0), (3.0, 7.0), (5.0, 9.0)]
    assert tool.pareto(points) == [(1.0, 5.0), (3.0, 8.0), (4.0, 9.0)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"provenance": "guessed"}, "'provenance' must be measured or quoted, got 'guessed'"),
        ({"points": [{"label": "x"}]}, "an entry is missing"),
        ({"points": [3]}, "an entry is missing or of another type"),
        ({"points": [{"label": "x", "f1": "high"}]}, "an entry is missing or of another type"),
        ({"points": [{"label": "x", "model": "fc_siam_diff", "f1": 1}]}, r"fc_siam_diff is not in costs\.json: run cdzoo flops"),
    ],
)
def test_invalid_results_are_named(tool, folder, change, message):
    content = json.loads((folder / "a.json").read_text()) | change
    (folder / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"a\.json: {message}"):
        tool.read_points(folder)


def test_missing_folders_and_invalid_files_exit_with_2(tool, folder, capsys):
    assert tool.main(["--results", str(folder), "--out", str(folder / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    (folder / "costs.json").write_text("{")
    assert tool.main(["--results", str(folder), "--out", str(folder)]) == 2
    assert "costs.json: cannot be read" in capsys.readouterr().err


@pytest.mark.slow
def test_tracked_results_match_the_models(tool):
    import torch

    import cdzoo

    assert len(tool.read_points(ROOT / "results")) >= 7
    costs = json.loads((ROOT / "results" / "costs.json").read_text())
    assert sorted(row["model"] for row in costs) == sorted(cdzoo.list_models())
    for row in costs:
        with torch.device("meta"):
            params = sum(p.numel() for p in cdzoo.create_model(row["model"]).parameters())
        assert row["params_m"] == params / 1e6, f"{row['model']}: cdzoo flops '*' --format json -o results/costs.json"
    assert re.search(r"fig9\.png", (ROOT / "docs" / "results.md").read_text())
