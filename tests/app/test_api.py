"""The API of the page as docs/app.md shows it, and visitors apart from each other."""

import json
import os
import re
import shutil
import time
from pathlib import Path

import gradio_client
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "app.md"


@pytest.fixture(scope="module")
def client(server):
    client = gradio_client.Client(server[0], verbose=False)
    yield client
    client.close()


@pytest.fixture
def connect(server):
    clients = []

    def new():
        clients.append(gradio_client.Client(server[0], verbose=False))
        return clients[-1]

    yield new
    for client in clients:
        client.close()


def test_the_example_of_the_documentation_runs(server, files, tmp_path, monkeypatch, capsys):
    (source,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert "http://127.0.0.1:7860" in source
    for name in ("before.tif", "after.tif"):
        shutil.copy(files[name], tmp_path)
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(compile(source.replace("http://127.0.0.1:7860", server[0]), "app.md", "exec"), scope)
    found, higher = scope["found"], scope["higher"]
    assert re.search(r"^[\d.]+% changed, [\d,]+ m2 on the ground$", capsys.readouterr().out, re.MULTILINE)
    assert found["area_m2"] == pytest.approx(found["changed_pixels"] / 4, rel=0.01) and higher["threshold"] == 0.6
    assert higher["changed_pixels"] < found["changed_pixels"] and sum(found["classes"].values()) == found["pixels"] == 128**2
    assert "demo weights" in found["warning"] and found["weights"].endswith("synthetic_wide_r358")
    names = [Path(file).name for file in scope["files"]]
    assert names == ["change.tif", "change.png", "change.geojson", "report.html", "probability.tif", "all_files.zip"]
    polygons = json.loads(Path(scope["files"][2]).read_text())["features"]
    assert sum(one["properties"]["pixels"] for one in polygons) == higher["changed_pixels"]


def files_below(folder):
    # Folders of earlier visitors may be removed meanwhile: os.walk ignores that, Path.rglob raises.
    # Gradio leaves empty files without a suffix.
    return {Path(parent, name) for parent, _, names in os.walk(folder) for name in names if "." in name}


def test_visitors_are_apart_and_their_files_are_removed(server, connect, files):
    _, _, sessions = server
    before = files_below(sessions.folder)
    one, other = connect(), connect()
    pair = [gradio_client.handle_file(files[name]) for name in ("before.png", "after.png")]
    one.predict(*pair, api_name="/detect")
    with pytest.raises(Exception, match="Nothing was detected yet"):
        other.predict(0.5, api_name="/threshold")
    assert {".tif"} <= {file.suffix for file in files_below(sessions.folder) - before}
    one.close()
    until = time.monotonic() + 20
    while (left := files_below(sessions.folder) - before) and time.monotonic() < until:
        time.sleep(0.2)
    assert not left


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (("notes.png", "after.png"), {}, "notes.png: not an image that this page reads"),
        (("before.png", "large.png"), {}, "1,100 x 1,000 pixels are more than the 1 megapixels"),
        (("before.png", "before.tif"), {}, "coordinate"),
        (("before.tif", "after.tif"), {"bands": "red"}, "bands: 'red' are no numbers"),
        (("before.tif", "after.tif"), {"bands": "1 2 9"}, "no band 9"),
        (("before16.tif", "after16.tif"), {"value_range": "5, 1"}, "two ascending numbers"),
        (("before.tif", "after.tif"), {"threshold": 0.99, "weights": "none"}, "none"),
    ],
)
def test_invalid_input_has_a_message_without_folders(client, server, files, names, options, message):
    with pytest.raises(gradio_client.exceptions.AppError, match=message) as error:
        client.predict(*(gradio_client.handle_file(files[name]) for name in names), **options, api_name="/detect")
    assert str(server[2].folder) not in str(error.value)


def test_addresses_and_files_of_the_server_are_refused(client, files, connections):
    image = gradio_client.handle_file(files["before.png"])
    for place in ({"path": "http://192.0.2.1/a.png"}, {"path": str(PAGE)}):
        with pytest.raises(gradio_client.exceptions.AppError):
            client.predict({**place, "meta": {"_type": "gradio.FileData"}}, image, api_name="/detect")
    assert not connections
