"""The programs that show the page: `cdzoo app` and the Space."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from cdzoo.cli.main import main

ROOT = Path(__file__).parents[2]
SPACE = ROOT / "spaces"

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib


@pytest.fixture
def start(tmp_path):
    """Start a program, and return it with the address of the page that it prints and the seconds until then."""
    processes = []

    def run(*words):
        began = time.monotonic()
        environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
        processes.append(process)
        line = process.stdout.readline()
        assert line.startswith("the page is at http://"), line
        return process, line.split()[-1], time.monotonic() - began

    yield run
    for process in processes:
        process.kill()
        process.wait()


def read(url):
    # Not through a proxy, which some machines have for all addresses.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as answer:
        return answer.status, answer.headers, answer.read().decode()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without a signal")
def test_the_space_starts_within_a_minute_and_leaves_no_files(start, tmp_path):
    process, url, seconds = start(str(SPACE / "app.py"))
    assert seconds < 60
    status, headers, text = read(url)
    assert status == 200 and "Change between two images" in text
    assert "content-security-policy" not in headers  # a Space shows it in a frame
    assert [*tmp_path.glob("cdzoo_app_*")]
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert not [*tmp_path.glob("cdzoo_app_*")]


@pytest.mark.slow
def test_the_page_for_colleagues_is_followed(start, tiny, tmp_path):
    """As written in docs/app.md, at a free port of this machine."""
    text = (ROOT / "docs" / "app.md").read_text(encoding="utf-8").split("## A page for colleagues")[1].split("\n## ")[0]
    assert len(text.splitlines()) < 40  # a screen
    (command,) = re.findall(r"^cdzoo app .*", text, re.MULTILINE)
    tiny().save_pretrained(tmp_path / "runs" / "first")
    words = shlex.split(command)
    assert words[-4:-1] == ["--host", "0.0.0.0", "--port"]
    _, url, _ = start("-m", *words[:-1], "7923")
    assert url.endswith(":7923") and "127.0.0.1" not in url
    status, headers, page = read(url)
    assert status == 200 and '"first"' in page and "default-src 'self'" in headers["content-security-policy"]


class TestSpace:
    def test_front_matter_names_files_and_versions_that_exist(self):
        card = yaml.safe_load((SPACE / "README.md").read_text(encoding="utf-8").split("---")[1])
        needed = {"title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "app_file", "python_version", "pinned"}
        assert needed <= card.keys() and card["sdk"] == "gradio" and card["license"] == "apache-2.0"
        assert (SPACE / card["app_file"]).is_file()
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        gradio = next(r for r in map(Requirement, project["optional-dependencies"]["app"]) if r.name == "gradio")
        assert card["sdk_version"] in gradio.specifier and card["python_version"] >= "3.10"

    def test_requirements_are_those_of_the_package(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = project["optional-dependencies"]
        wanted = [*project["dependencies"], *extras["geo"], *(r for r in extras["app"] if not r.startswith("cdzoo"))]
        lines = (SPACE / "requirements.txt").read_text(encoding="utf-8").splitlines()
        found = [line for line in lines if not line.startswith(("#", "tqdm"))]
        assert {*map(str, map(Requirement, found))} == {*map(str, map(Requirement, wanted))}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "70000"], "--port must be between 1 and 65535"),
        (["--max-pixels", "0"], "--max-pixels must be at least 1"),
        (["nowhere.tag"], "nowhere"),
        (["--share"], "unknown option|unrecognized|--share"),
    ],
)
def test_wrong_options_of_the_command(words, message, capsys):
    assert main(["app", *words]) == 2
    assert re.search(message, capsys.readouterr().err)
