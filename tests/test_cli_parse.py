"""Parsers of the command line: help, spellings of options, config files, and suggestions for misspelled words."""

import dataclasses
import functools
import re
import subprocess
import sys
import time
from typing import Literal

import pytest

from cdzoo.cli.help import COMMON
from cdzoo.cli.main import COMMANDS, load, main
from cdzoo.cli.parse import build_parser, call, parse
from cdzoo.config import ModelOptions
from cdzoo.data.open import DataCfg
from cdzoo.engine.config import TrainCfg
from cdzoo.errors import ConfigError


def train(monkeypatch, *words):
    """Return the arguments that `cdzoo train` passes to its function."""
    found = {}
    function = load("train")

    @functools.wraps(function)
    def record(**arguments):
        found.update(arguments)

    monkeypatch.setattr("cdzoo.cli.train.train", record)
    assert main(["train", *map(str, words)]) == 0
    return found


def test_help_imports_no_torch():
    code = (
        "import contextlib, sys; from cdzoo.cli.main import COMMANDS, main; main([])\n"
        "for name in COMMANDS:\n    with contextlib.suppress(SystemExit): main([*name.split(), '--help'])\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_help_text(command, capsys):
    parser = build_parser(command, load(command))
    assert [action.dest for action in parser._actions if not action.help] == []
    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), "--help"])
    out = capsys.readouterr().out
    assert stopped.value.code == 0 and out.startswith(f"usage: cdzoo {command}")
    assert not [word for word in out.split() if word.startswith("--") and "_" in word]


def help_of(capsys, command, option="--help"):
    with pytest.raises(SystemExit):
        main([*command.split(), option])
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_help_fits_a_screen(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = (help_of(capsys, command) if command else (main([]), capsys.readouterr().out)[1]).splitlines()
    assert len(lines) <= 50 and max(map(len, lines)) <= 80


@pytest.mark.parametrize("command", COMMON)
def test_help_all_shows_every_option(command, capsys):
    options = {name for action in build_parser(command, load(command))._actions for name in action.option_strings}
    shown = {word.rstrip(",") for word in help_of(capsys, command, "--help-all").split()}
    assert options <= shown and {*COMMON[command]} <= {name[2:].replace("-", "_") for name in options} | {"config"}
    short = help_of(capsys, command)
    left_out = options - {word.rstrip(",") for word in short.split()}
    # The parser of train has --config and --print-config as well.
    assert len(left_out) + (command == "train") == int(re.search(r"--help-all shows (\d+)\s+more", short)[1])


def test_help_of_train_has_groups(capsys):
    out = help_of(capsys, "train", "--help-all")
    positions = [out.index(title) for title in ("\noptions:", "\nmodel:", "\ndata:", "\ntraining:")]
    assert positions == sorted(positions) and out.index("--fusion ") < positions[2] < out.index("--mask-encoding") < positions[3]
    assert "--batch-size INT" in out and "(default: 16)" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tarin"], "unknown command 'tarin'. Did you mean 'train'?"),
        (["data", "chek"], "unknown command 'data chek'. Did you mean 'data check'?"),
        (["train", "--model", "x", "--data", "y", "--epcohs", "3"], "unknown option --epcohs. Did you mean '--epochs'?"),
        (["train", "model=x", "data=y", "epcohs=3"], "unknown option --epcohs. Did you mean '--epochs'?"),
        (["train", "--model", "x"], "--data required"),
        (["train", "model=x", "data=y", "epochs=many"], "--epochs: invalid value 'many'"),
        (["train", "model=x", "data=y", "scheduler=cosine"], "Did you mean '--schedule'?"),
        (["train", "model=x", "data=y", "--max-epochs", "3"], "unknown option --max-epochs. Did you mean '--epochs'?"),
        (["train", "model=x", "data=y", "lerning_rate=1"], "unknown option --lerning-rate. Did you mean '--lr'?"),
        (["train", "-out", "x"], "unknown option -out. Did you mean '--out'?"),
        (["info", "x", "--fusion.norm", "false"], "write --fusion-kwargs.norm VALUE"),
        (["evaluate"], "unknown command 'evaluate'. Did you mean 'eval'?"),
        (["eval", "model=x", "data=y"], "only cdzoo train takes key=value; write --model x --data y"),
        (["train", "--model", "glmamba_tiny", "--data", "levir_cdd"], "nor a data set. Did you mean 'levir_cd'?"),
        (["train", "model=glmamba_tny", "data=synthetic:2"], "Did you mean 'glmamba_tiny'?"),
        (["info"], "MODEL required"),
        (["info", "glmamba_tiny", "more"], "unrecognized arguments: more"),
        (["eval", "--model", "x", "--data", "y", "--split", "tset"], "--split: unknown value 'tset'. Did you mean 'test'?"),
    ],
)
def test_misspelled_words_raise_with_suggestions(capsys, words, message):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("cdzoo: error: ") and message in captured.err and captured.out == ""


def test_without_a_command_the_commands_are_listed(capsys):
    assert main([]) == 0 and "predict" in capsys.readouterr().out
    assert main(["data"]) == 0
    out = capsys.readouterr().out
    assert "data check" in out and "predict" not in out
    assert main(["data", "--help"]) == 0 and capsys.readouterr().out == out
    assert main(["--version"]) == 0 and capsys.readouterr().out.startswith("cdzoo ")


def test_spellings_of_options(monkeypatch):
    common = ["--model", "glmamba_tiny", "--data", "synthetic"]
    plain = train(monkeypatch, *common, "--batch-size", 4, "--exclude", "a_*", "b-1", "--value-range", 0, 4095, "--seeds", 1, 2)
    assert plain["cfg"].batch_size == 4 and plain["seeds"] == [1, 2]
    assert plain["data"].exclude == ("a_*", "b-1") and plain["data"].value_range == (0, 4095)
    other = ["--batch_size=4", "exclude=[a_*, b-1]", "--value_range", "[0, 4095]", "--seeds", "[1, 2]"]
    assert train(monkeypatch, *common, *other) == plain
    switches = train(monkeypatch, *common, "--overwrite", "log=[wandb]", "--tensorboard", "flips=false", "--siamese=false")
    assert switches["overwrite"] and switches["cfg"].log == ("wandb", "tensorboard") and not switches["cfg"].flips
    assert switches["model"].siamese is False and switches["model"].arguments()["siamese"] is False
    nested = train(monkeypatch, *common, "--backbone_kwargs.d_state", 2, "in_chans=[2, 3]", 'head_kwargs={"channels": 8}')
    assert nested["model"].backbone_kwargs == {"d_state": 2} and nested["model"].head_kwargs == {"channels": 8}
    assert nested["model"].in_chans == (2, 3)


def test_later_options_win(monkeypatch, tmp_path):
    (tmp_path / "own.yaml").write_text("epochs: 7\nlr: 1.0e-3\ncrop: 96\n")
    words = ["epochs=9", "--recipe", "glmamba_levir", "--data", "x", "--config", tmp_path / "own.yaml", "crop=64"]
    found = train(monkeypatch, *words)
    assert found["model"].model_name == "glmamba_levir" and found["recipe"] == "glmamba_levir"
    assert (found["cfg"].lr, found["cfg"].crop, found["cfg"].rotate) == (1e-3, 64, False)


def test_run_files_of_earlier_versionsload(monkeypatch, tmp_path):
    (tmp_path / "run.yaml").write_text(
        "model: glmamba_tiny\nrecipe: glmamba_levir\nseeds: [0, 1]\ndata: pairs\nexclude: ['x*']\nvalue_range: [0, 4095]\n"
        "mask_encoding: 0/255\nbackbone: vss\nbackbone_kwargs: {channels: 8}\nneck: none\nin_chans: [3, 3]\nsiamese: false\n"
        "epochs: 3\nbatch_size: 4\nlr: 0.0001\noptimizer: adam\nflips: true\nworkers: -1\ndevice: auto\n"
    )
    found = train(monkeypatch, "--resume", tmp_path, "epochs=5")
    assert found["resume"] == str(tmp_path) and found["seeds"] == [0, 1] and found["recipe"] == "glmamba_levir"
    assert found["model"] == ModelOptions(
        "glmamba_tiny", backbone="vss", backbone_kwargs={"channels": 8}, neck="none", in_chans=(3, 3), siamese=False
    )
    assert found["data"] == DataCfg("pairs", exclude=("x*",), value_range=(0.0, 4095.0), mask_encoding="0/255")
    assert (found["cfg"].epochs, found["cfg"].batch_size) == (5, 4)


def test_the_options_of_a_run_are_restored_from_its_file(monkeypatch, tmp_path):
    from cdzoo.cli.train import _write_run

    model = ModelOptions("bit", in_chans=(3, 4), siamese=False, neck_kwargs={"a": [1]}, mean=(0.5,), pretrained="tag")
    data, cfg = DataCfg("pairs", exclude=("x",), value_range=(0.0, 2.0), mask_encoding="0/1"), TrainCfg(epochs=3, flips=False)
    _write_run(tmp_path / "run.yaml", cfg, ({"model": model.model_name, "recipe": None, "seeds": [3, 4]}, model, data))
    found = train(monkeypatch, "--resume", tmp_path)
    assert (found["model"], found["data"], found["cfg"], found["seeds"]) == (model, data, cfg, [3, 4])


def test_options_have_distinct_names():
    names = [field.name for kind in (ModelOptions, DataCfg, TrainCfg) for field in dataclasses.fields(kind)]
    assert len(set(names)) == len(names)


def test_commands_reject_values_that_are_not_choices():
    def command(*, kind: Literal["first", "second"] = "first") -> None:
        """Test."""

    values = parse(build_parser("test", command), ["--kind", "frist"])
    with pytest.raises(ConfigError, match=r"--kind: unknown value 'frist'. Did you mean 'first'\? Known: first, second"):
        call(command, values)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nmodel: *b\n"


@pytest.mark.parametrize(
    "text", [BOMB, "model: &m fc_ef", "[" * 200, "epochs: " + "9" * 5000, "a: {", "- x", "1: 2", "", "config: run.yaml", "\x00"]
)
def test_config_files_are_plain_yaml(tmp_path, capsys, text):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    start = time.process_time()
    assert main(["train", "--config", str(file), "--data", "x"]) == 2
    assert str(file) in capsys.readouterr().err and time.process_time() - start < 10


def test_values_of_options_are_plain_yaml(capsys):
    words = ["info", "glmamba_tiny", "--backbone-kwargs", "{a: &a [1, 1], b: [*a, *a]}"]
    assert main(words) == 2 and "--backbone-kwargs" in capsys.readouterr().err
    assert main(["info", "glmamba_tiny", "--mean", "[0.5, *a"]) == 2
    assert "--mean: '[0.5, *a' is not a list" in capsys.readouterr().err
