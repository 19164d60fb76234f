"""The commands of docs/answers.md, as written."""

from pathlib import Path

import geopandas
import numpy as np
import pandas
import pytest
from blocks import commands, read_blocks
from shapely.geometry import box

from cdzoo.cli.main import main


@pytest.fixture
def files(raster, tmp_path):
    """Write five images (160, 160, 3) of which the last three have a bright square, and polygons."""
    before = np.random.default_rng(0).integers(80, 110, (160, 160, 3), dtype=np.uint8)
    after = before.copy()
    after[40:90, 40:90] += 120
    for year in range(2018, 2025):
        raster(f"{year}.tif", after if year > 2019 else before)
    corners = [(500_000 + 40 * x, 5_000_000 - 40 * y) for x in range(4) for y in range(4)]
    frame = geopandas.GeoDataFrame(
        {"name": [f"b{n}" for n in range(16)]}, geometry=[box(x, y - 40, x + 40, y) for x, y in corners]
    )
    frame = frame.set_crs(32633)
    frame.to_file(tmp_path / "buildings.gpkg")
    frame.to_file(tmp_path / "districts.geojson")


def test_commands_of_the_page_run(files, detector, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cdzoo.cli.prediction.load_trained", lambda *_: detector())
    shown = [words for block in read_blocks("docs/answers.md") for words in commands(block.text)]
    assert [words[1] for words in shown] == ["predict", "footprints", "predict", "footprints"]
    for words in shown:
        assert main(words[1:]) == 0, words
    assert geopandas.read_file("change_footprints.gpkg")["cd_changed"].max() == 1600
    assert pandas.read_csv("districts.csv")["cd_changed_m2"].sum() == pytest.approx(2500, rel=2e-3)
    dates = pandas.read_csv("dates.csv", dtype=str).set_index("name")
    assert dates.loc["b5", "cd_class"] == "2020" and dates.loc["b5", "cd_px_2020"] == "1600"
    assert set(Path().glob("series*")) >= {Path("series_last_before.tif"), Path("series.qml")}
