"""Ablation grids, their training runs, and tables of the scores."""

import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from PIL import Image

import cdzoo
from cdzoo.ablate import read_grid, run_grid, write_report
from cdzoo.ablate.report import Row, summarize, table_markdown
from cdzoo.ablate.runs import result_file
from cdzoo.errors import CdzooError, ConfigError, InputError, MissingDependencyError
from cdzoo.io.plain_yaml import load_yaml
from cdzoo.metrics import SUMMARY_SCORES, ChangeCounts, Spread
from cdzoo.protocol import Protocol
from cdzoo.recipes import recipe_path
from cdzoo.results import ProtocolRecord, Results

ROOT = Path(__file__).parents[2]
BACKBONE = {"backbone_kwargs": {"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2}}
GRID = {
    "title": "Two fusions",
    "model": "glmamba_tiny",
    "data": "somewhere",
    "seeds": [0, 1],
    "train": {"epochs": 1, "batch_size": 2, "crop": 32, "lr": 1e-3},
    "tables": {
        "first": {
            "title": "Fusions",
            "rows": {"sum": {"fusion": "sum", **BACKBONE}, "difference": {"fusion": "diff", **BACKBONE}},
        },
        "second": {"title": "One of them", "rows": {"again": {"fusion": "diff", **BACKBONE}}},
    },
}


class PlainDumper(yaml.SafeDumper):
    """Writes shared values twice: grids have no anchors."""

    def ignore_aliases(self, data):
        return True


@pytest.fixture
def write(tmp_path):
    def to_file(**changes):
        path = tmp_path / "grid.yaml"
        path.write_text(yaml.dump({**GRID, **changes}, Dumper=PlainDumper))
        return path

    return to_file


def command():
    spec = importlib.util.spec_from_file_location("ablate_tool", ROOT / "tools" / "ablate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.mark.parametrize("path", sorted((ROOT / "ablations").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_row_of_the_grids_of_the_project_builds(path):
    import torch

    grid = read_grid(path)
    jobs = grid.jobs()
    assert len({job.key for job in jobs}) == len(jobs)
    for job in jobs[: len(jobs) // len(grid.seeds)]:
        options = dataclasses.replace(job.model_options, backbone_weights=None)  # a file of the user
        with torch.device("meta"):
            cdzoo.create_model(**options.arguments())


def test_the_tables_of_the_paper_share_runs():
    grid = read_grid(ROOT / "ablations" / "glmamba.yaml", seeds=[5])
    assert [len(table.rows) for table in grid.tables] == [8, 7, 2]
    assert len(grid.jobs()) == 13
    choices = [{key: row[key] for key in ("neck", "fusion", "decoder")} for row in grid.tables[0].rows.values()]
    assert len({json.dumps(choice) for choice in choices}) == 8


def test_the_recipe_of_clcd_has_the_settings_of_its_grid():
    job = read_grid(ROOT / "ablations" / "clcd_half.yaml").jobs("*generated scenes")[0]
    settings = {"model": job.model, **job.options, **job.train}
    assert settings == load_yaml(recipe_path("clcd").read_text())


def test_equal_runs_have_equal_keys(write):
    one, two = read_grid(write()), read_grid(write(), train={"lr": 2e-3})
    assert [job.key for job in one.jobs()] == [job.key for job in read_grid(write()).jobs()]
    assert len(one.jobs()) == 4 and not {job.key for job in one.jobs()} & {job.key for job in two.jobs()}
    assert [job.seed for job in one.jobs()] == [0, 0, 1, 1]


def test_rows_have_settings_of_their_own(write):
    plain = {"fusion": "sum", **BACKBONE}
    tables = {"t": {"title": "T", "rows": {"plain": plain, "fast": {**plain, "train": {"lr": 0.1, "ema": 0.9}}}}}
    grid = read_grid(write(tables=tables, seeds=[0]))
    fast, slow = grid.jobs()  # in the order of the file, which is sorted
    assert slow.options == fast.options and (slow.train_cfg.lr, fast.train_cfg.lr) == (1e-3, 0.1)
    assert fast.train == {**GRID["train"], "lr": 0.1, "ema": 0.9}
    assert slow.key in {job.key for job in read_grid(write(seeds=[0])).jobs()}, "rows without settings keep their names"
    assert grid.jobs("f*") == [fast] and grid.jobs("plain") == [slow]
    with pytest.raises(ConfigError, match="no row is called 'slow'; there are 'fast', 'plain'"):
        grid.jobs("slow")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modle": "x"}, "no field 'modle'.*'model'"),
        ({"train": {"epoch": 3}}, "train: TrainCfg has no field 'epoch'.*'epochs'"),
        ({"train": {"epochs": 0}}, "epochs must be greater than or equal to 1"),
        (
            {"tables": {"a": {"title": "A", "rows": {"b": {"fuson": "sum"}}}}},
            "a: b: ModelOptions has no field 'fuson'.*'fusion'",
        ),
        ({"title": ""}, "title"),
        ({"seeds": [1, 1]}, "seeds must be different numbers"),
        ({"train": {"seed": 1}}, "train: seed cannot be set in a grid"),
        ({"tables": {"a": {"title": "A", "rows": {"b": {"train": {"seed": 1}}}}}}, "a: b: train: seed cannot be set in a grid"),
        ({"tables": {"a": {"title": "A", "rows": {"b": {"train": {"epoch": 1}}}}}}, "a: b: train: TrainCfg has no field 'epoch'"),
        ({"tables": {"a": {"title": "A", "rows": {"b": {"train": 3}}}}}, "a: b: train: expected a mapping, got int"),
        ({"threshold": "test"}, "threshold"),
        ({"tables": {}}, "tables"),
        ({"tables": {"a": {"title": "A", "rowz": {}}}}, "tables: a: Table has no field 'rowz'.*'rows'"),
        ({"tables": {"a": []}}, "tables: a: expected a mapping, got list"),
        ({"tables": ["a"]}, "tables: expected a mapping, got list"),
        ({"tables": {"a": {"title": "A"}}}, r"grid\.yaml: tables: a: rows"),
        ({"tables": {"a": {"title": "A", "rows": {"b": 3}}}}, "tables: a: rows"),
        ({"tables": {"a": {"title": "A", "name": "b", "rows": {}}}}, r"grid\.yaml"),
        ({"tables": {"a": {"title": "A", 1: 2, "rows": {}}}}, "tables: a: names must be text"),
        ({"tables": {"../a": {"title": "A", "rows": {}}}}, "name"),
        ({"tables": {"a": {"title": "A", "rows": {"b": {"model": [1]}}}}}, "a: b: "),
        ({"train": {"epochs": "many"}}, "train: epochs"),
        ({"train": {3: 1}}, "train: names must be text"),
        ({"seeds": 3}, "seeds"),
        ({"seeds": ["a"]}, "seeds"),
        ({"model": 3}, "model"),
    ],
)
def test_invalid_grids(write, changes, message):
    with pytest.raises(ConfigError, match=message):
        read_grid(write(**changes))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 20_000, b"a: &a [*a]", b"a: [", b""])
def test_files_that_are_no_grid(tmp_path, content, capsys):
    file = tmp_path / "odd.yaml"
    file.write_bytes(content)
    assert command()([str(file)]) == 2
    assert "odd.yaml" in capsys.readouterr().err


def test_the_code_of_components_is_part_of_a_run(write, tmp_path, capsys):
    rows = {"own": {"fusion": "ablated", **BACKBONE}}
    path, mine = write(tables={"t": {"title": "T", "rows": rows}}, seeds=[0]), tmp_path / "mine.py"
    text = (
        "from cdzoo import register_fusion\nfrom cdzoo.components import LevelFusion\n\n\n"
        "@register_fusion('ablated')\nclass Ablated(LevelFusion):\n    def forward(self, x1, x2):\n        return x1\n"
    )
    assert command()([str(path), "--tables", "--import", str(tmp_path / "none.py")]) == 2
    keys = []
    for code in (text, text.replace("return x1", "return x2")):
        mine.write_text(code)
        assert command()([str(path), "--out", str(tmp_path / "o"), "--tables", "--import", str(mine)]) == 2
        assert "no run of" in capsys.readouterr().err
        keys += [job.key for job in read_grid(path).jobs()]
    assert len(set(keys)) == 2


def test_needs_are_checked_before_the_training(write, tmp_path, monkeypatch):
    def missing(module, extra, purpose):
        if module.startswith("matplotlib"):
            raise MissingDependencyError("matplotlib")

    monkeypatch.setattr("cdzoo.ablate.runs.require", missing)
    with pytest.raises(MissingDependencyError):
        run_grid(read_grid(write()), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    monkeypatch.undo()
    with pytest.raises(InputError, match="is a file"):
        run_grid(read_grid(write()), tmp_path / "file")


def test_tables_are_written_before_pictures(write, tmp_path, monkeypatch):
    grid = read_grid(write())
    (tmp_path / "runs").mkdir()
    record = ProtocolRecord.of(Protocol("folder"), {"test": ["a"]})
    Results("glmamba_tiny", "test", ChangeCounts().summary(), record).write(result_file(tmp_path, grid.jobs()[0]))

    def fail(*_):
        raise MissingDependencyError("matplotlib")

    monkeypatch.setattr("cdzoo.ablate.report._draw", fail)
    with pytest.raises(MissingDependencyError):
        write_report(grid, tmp_path)
    assert "## Fusions" in (tmp_path / "tables.md").read_text()


def test_missing_grid():
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read as a grid"):
        read_grid("none.yaml")


@pytest.mark.slow
def test_runs_are_made_once_and_failures_do_not_affect_others(write, pair_folder, tmp_path, capsys):
    data, out = str(pair_folder(6, 48)), tmp_path / "out"
    path = write(data=data, seeds=[0])
    tables = {**GRID["tables"], "third": {"title": "Broken", "rows": {"bad": {"fusion": "sum", "head": "conv"}}}}
    broken = read_grid(write(data=data, seeds=[0], tables=tables))
    lines = []
    (failure,) = run_grid(broken, out, processes=2, report=lines.append)
    assert "expects one level" in failure and "3 runs, 0 of them complete" in lines[0]
    kept = {file.name: file.read_bytes() for file in (out / "runs").iterdir()}
    threads = {json.loads(data)["environment"]["hardware"]["threads"] for data in kept.values()}
    assert max(threads) <= max(1, os.cpu_count() // 2), "two processes share the cores"
    assert len(kept) == 2 and all("seed0" in name for name in kept)
    assert not list((out / "unfinished").glob("*sum-seed*/model.safetensors"))

    write(data=data, seeds=[0])
    assert command()([str(path), "--out", str(out)]) == 0
    assert "2 runs, 2 of them complete" in capsys.readouterr().out
    assert {file.name: file.read_bytes() for file in (out / "runs").iterdir()} == kept

    assert command()([str(path), "--out", str(out), "--seeds", "0", "1"]) == 0
    text = (out / "tables.md").read_text()
    assert len(list((out / "runs").iterdir())) == 4
    assert text.count("## ") == 3 - 1 and re.search(r"\| difference \| 0\.\d\d \| \d+\.\d\d \+- ", text)
    for name in ("first", "second"):
        with Image.open(out / f"{name}.png") as picture:
            assert picture.width > 500
    grid = read_grid(path, seeds=[0, 1])
    rows = {(row.table, row.label): row for row in summarize(grid, out)}
    assert rows["first", "difference"].scores == rows["second", "again"].scores
    results = [json.loads(result_file(out, grid.job(grid.tables[0].rows["sum"], seed)).read_text()) for seed in (0, 1)]
    values = [result["scores"]["f1"] for result in results]
    assert rows["first", "sum"].scores["f1"].values == values
    summary = json.loads((out / "summary.json").read_text())["rows"]
    assert [Row.from_dict(row) for row in summary] == summarize(grid, out)
    assert results[0]["provenance"] == "measured" and results[0]["split"] == "test" and results[0]["job"]["seed"] == 0
    assert results[0]["config"]["fusion"]["name"] == "sum"

    result_file(out, grid.jobs()[0]).write_text("{")
    with pytest.raises(CdzooError, match=r"file is damaged; remove it and run again"):
        write_report(grid, out)


@pytest.mark.slow
def test_the_threshold_is_that_of_the_validation_split(write, pair_folder, tmp_path):
    path = write(data=str(pair_folder(6, 48)), seeds=[0], threshold="validation")
    assert command()([str(path), "--out", str(tmp_path / "out"), "--rows", "sum"]) == 0
    (file,) = (tmp_path / "out" / "runs").iterdir()
    result = json.loads(file.read_text())
    chosen = result["validation"]["best_threshold"]
    assert result["scores"]["threshold"] == chosen != result["validation"]["threshold"]
    assert result["job"]["threshold"] == "validation"
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())["rows"]
    (trained,) = (row for row in summary if row["label"] == "sum")
    (missing,) = (row for row in summary if row["label"] == "difference")
    assert trained["thresholds"] == [chosen] and trained["hours"][0] >= 0 and "thresholds" not in missing
    assert "weights and threshold selected on the validation split;" in (tmp_path / "out" / "tables.md").read_text()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
def test_runs_end_with_the_killed_command(write, pair_folder, tmp_path):
    path = write(data=str(pair_folder(6, 48)), seeds=[0], train={**GRID["train"], "epochs": 10_000})
    words = [sys.executable, str(ROOT / "tools" / "ablate.py"), str(path), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
    while not list((tmp_path / "out").glob("unfinished/*/log.csv")):
        assert process.poll() is None
        time.sleep(0.1)
    workers = _children(process.pid)
    process.kill()
    process.wait()
    for _ in range(100):
        if not any(_runs(worker) for worker in workers):
            break
        time.sleep(0.1)
    assert workers and not any(_runs(worker) for worker in workers)


def _children(parent):
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(entry.parent.name))
    return found


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_tables_compare_with_their_first_row():
    def row(label, *values):
        scores = {name: Spread(sum(values) / len(values), 0.01, list(values)) for name in SUMMARY_SCORES}
        return Row("t", label, "m", {}, [0, 1], scores, 1.0)

    text = table_markdown([row("a", 0.5, 0.7), row("b", 0.7, 0.8), Row("t", "c", "m", {})])
    lines = text.splitlines()
    assert "| 60.00 +- 1.00 |" in lines[2] and "+0.00" in lines[2]
    assert "+15.00" in lines[3]
    assert "not run" in lines[4]


def test_missing_runs_and_invalid_settings_exit_with_2(write, tmp_path, capsys):
    path = write()
    assert command()([str(path), "--out", str(tmp_path / "o"), "--tables"]) == 2
    assert "no run of 'Two fusions' is complete" in capsys.readouterr().err
    assert command()([str(path), "epochs"]) == 2
    assert "have the form key=value" in capsys.readouterr().err
