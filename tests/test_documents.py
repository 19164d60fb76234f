"""Every command and example of README.md and CONTRIBUTING.md is executed."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import cdzoo
from cdzoo.cli.main import main
from cdzoo.factory import list_architectures

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LONG_FILES = 400


def blocks(name, language):
    return [text for kind, text in BLOCK.findall((ROOT / name).read_text()) if kind == language]


def commands(name):
    lines = [line for block in blocks(name, "bash") for line in block.replace("\\\n", " ").splitlines()]
    return [command.strip() for line in lines for command in line.split("&&") if command.strip()]


def test_fusion_example_of_contributing_works(tmp_path):
    (source,) = blocks("CONTRIBUTING.md", "python")
    assert len([line for line in source.splitlines() if line.strip()]) <= 10
    (tmp_path / "my_fusion.py").write_text(source)
    (command,) = [c for c in commands("CONTRIBUTING.md") if c.startswith("cdzoo")]
    done = subprocess.run([sys.executable, "-m", *shlex.split(command)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"fusion +max +0 +0\.0%", done.stdout)


def test_python_examples_of_the_readme_run(tmp_path, pair_folder, monkeypatch):
    monkeypatch.chdir(pair_folder(2, 64, name="examples").parent)
    from PIL import Image

    for name, folder in (("before.png", "A"), ("after.png", "B")):
        Image.open(Path("examples") / folder / "pair_0.png").save(name)
    scope = {}
    for source in blocks("README.md", "python"):
        exec(compile(source, "README.md", "exec"), scope)


def test_python_examples_of_the_page_about_tasks_run(capsys):
    (source,) = blocks("docs/tasks.md", "python")
    exec(compile(source, "docs/tasks.md", "exec"), {})
    (comment,) = [line for line in source.splitlines() if line.startswith("# {")]
    assert capsys.readouterr().out.strip() == comment.removeprefix("# ")


def test_shell_examples_of_the_readme_run(tmp_path, pair_folder):
    """Install and test commands are run by CI; the others here, in their order, with training cut to one epoch."""
    pair_folder(3, 48, name="pairs")
    shown = [c for c in commands("README.md") if c.startswith("cdzoo ")]
    assert {c.split()[1] for c in shown} >= {"demo", "list", "info", "env", "data", "train", "eval", "predict"}
    for command in shown:
        words = shlex.split(command, comments=True)
        if words[1] == "demo":
            words += ["--size", "64"]
        if words[1] == "train":
            words += ["--epochs", "1", "--crop", "32", "--progress", "false"]
            words = [
                f"{word}:8" if word == "synthetic_semantic" and words[i - 1] == "--data" else word for i, word in enumerate(words)
            ]
        done = subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


@pytest.mark.slow
def test_the_page_about_your_own_pairs_is_followed(tmp_path, pair_folder, monkeypatch, capsys):
    """As written, with training cut to one epoch of small crops, and a generated file of the encoder."""
    import timm

    pair_folder(50, 32, name="pairs")
    torch.save(timm.create_model("tf_efficientnet_lite0").state_dict(), tmp_path / "efficientnet-lite0.pth")
    monkeypatch.chdir(tmp_path)
    shown = commands("docs/finetune.md")
    assert {c.split()[1] for c in shown if c.startswith("cdzoo ")} == {"data", "eval", "train", "convert", "compare", "predict"}
    for command in shown:
        words = shlex.split(command)
        if words[0] != "cdzoo":
            subprocess.run(["bash", "-c", command], check=True)
            continue
        short = (
            ["--epochs", "1", "--early-stopping", "null", "--crop", "32", "--progress", "false"] if words[1] == "train" else []
        )
        assert main([*words[1:], *short]) == 0, f"{command}\n{capsys.readouterr().err}"
    assert Path("comparison.html").stat().st_size > 10_000 and Path("robustness.png").is_file()


def test_the_page_about_reports_is_followed(tmp_path, monkeypatch, capsys):
    """The commands are run as written, on a small pair."""
    rasterio = pytest.importorskip("rasterio")
    from cdzoo.data.synthetic import make_scene

    scene = make_scene(0, 96)
    monkeypatch.chdir(tmp_path)
    profile = {"driver": "GTiff", "height": 96, "width": 96, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    for name, image in (("before.tif", scene.before), ("after.tif", scene.after)):
        with rasterio.open(name, "w", transform=rasterio.transform.from_origin(6e5, 5e6, 0.5, 0.5), **profile) as file:
            file.write(image.transpose(2, 0, 1))
    shown = commands("docs/report.md")
    for command in shown:
        assert main(shlex.split(command)[1:]) == 0, capsys.readouterr().err
    page = (tmp_path / "report.html").read_text()
    assert len(shown) == 1 and "demo weights" in page and "Area changed" in page


def test_model_zoo_page_is_complete():
    """Run `python tools/zoo.py` to update the page."""
    rows = {line.split("`")[1]: line for line in (ROOT / "docs" / "zoo.md").read_text().splitlines() if line.startswith("| `")}
    assert rows.keys() == list_architectures().keys()
    for name, presets in list_architectures().items():
        with torch.device("meta"):
            params = sum(p.numel() for p in cdzoo.create_model(name).parameters())
        assert f" | {params / 1e6:.2f} | " in rows[name]
        assert all(f"`{preset}`" in rows[name] for preset in presets)


def test_table_of_the_readme_has_the_counted_costs():
    costs = {row["registered"]: row for row in json.loads((ROOT / "results" / "costs.json").read_text())}
    rows = re.findall(r"^\| (`.*`) \| ([\d., ]+) M \| ([\d., ]+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    for names, *shown in rows:
        for key, values in zip(("params_m", "gmacs"), shown, strict=True):
            expected = [f"{costs[name][key]:.1f}" for name in re.findall(r"`(\w+)`", names)]
            assert values in (", ".join(expected), *{*expected}) and (", " in values or len({*expected}) == 1), names
    assert len(rows) > 15


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/finetune.md", "docs/report.md", "docs/tasks.md"])
def test_linked_files_exist(name):
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text()):
        assert (ROOT / name).parent.joinpath(target).exists(), f"{name} links to {target}"


def test_files_are_short():
    long = {
        str(file.relative_to(ROOT)): count
        for folder in ("cdzoo", "tools", "benchmarks")
        for file in (ROOT / folder).rglob("*.py")
        if (count := len(file.read_text().splitlines())) > LONG_FILES
    }
    assert not long, f"would two files read better than one? {long}"


def test_version_is_in_one_place():
    assert re.fullmatch(r"\d+\.\d+\.\d+", cdzoo.__version__)
    assert "version" not in (ROOT / "pyproject.toml").read_text().split("[project]")[1].split("dynamic")[0]
