"""Grids: their rows, settings and runs."""

import dataclasses
import json

import pytest
from grids import BACKBONE, GRID, ROOT, command

import cdzoo
from cdzoo.ablate import read_grid
from cdzoo.errors import ConfigError, InputError
from cdzoo.io.plain_yaml import load_yaml
from cdzoo.recipes import recipe_path


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
    job = read_grid(ROOT / "ablations" / "clcd_half.yaml").jobs("*100 epochs")[0]
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


def test_missing_grid():
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read as a grid"):
        read_grid("none.yaml")
