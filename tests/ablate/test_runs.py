"""Training runs of grids, and tables of their scores."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from grids import GRID, ROOT, command
from PIL import Image

from cdzoo.ablate import read_grid, run_grid, write_report
from cdzoo.ablate.report import Row, summarize, table_markdown
from cdzoo.ablate.runs import result_file
from cdzoo.errors import CdzooError, InputError, MissingDependencyError
from cdzoo.metrics import SUMMARY_SCORES, ChangeCounts, Spread
from cdzoo.protocol import Protocol
from cdzoo.results import ProtocolRecord, Results


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
