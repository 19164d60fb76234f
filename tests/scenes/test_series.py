"""Series of made images with changes at known dates."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from shapely.geometry import box

from cdzoo.cli.main import main
from cdzoo.constants import DEFAULT_WEIGHTS
from cdzoo.data import SyntheticScenes
from cdzoo.errors import ConfigError, InputError
from cdzoo.scenes import PolygonCfg, SceneCfg, predict_scene, predict_series
from cdzoo.scenes.persistence import KINDS
from cdzoo.scenes.series_products import series_legends

SMALL = SceneCfg(tile=128, overlap=48, progress=False)
SQUARES = {
    "lasting from 2": ((20, 60, 20, 60), "01111"),
    "lasting from 4": ((20, 60, 100, 140), "00011"),
    "passing": ((100, 140, 20, 60), "00100"),
    "unconfirmed": ((100, 140, 100, 140), "00001"),
    "hidden": ((150, 190, 20, 60), "00?11"),
}
"""Rows and columns of squares, and their state in each image; `?` without data."""


@pytest.fixture
def series(raster):
    """Write five images (200, 200, 3) with nodata 0; those after the first on other grids, where they are resampled."""

    def write(count=5):
        rng = np.random.default_rng(0)
        paths = []
        for index in range(count):
            image = rng.integers(80, 110, (200, 200, 3), dtype=np.uint8)
            for (top, bottom, left, right), states in SQUARES.values():
                if states[index] == "1":
                    image[top:bottom, left:right] += 120
                elif states[index] == "?":
                    image[top:bottom, left:right] = 0
            paths.append(raster(f"city_201{index}0601.tif", image, nodata=0))
        return paths

    return write


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)


def values_in(path, square):
    top, bottom, left, right = SQUARES[square][0]
    return np.unique(read(path)[top + 2 : bottom - 2, left + 2 : right - 2]).tolist()


def test_five_images_with_two_lasting_and_one_passing_change(detector, series, tmp_path):
    seen = []
    result = predict_series(
        detector(),
        series(),
        tmp_path / "s.tif",
        SMALL,
        probability=tmp_path / "p.tif",
        polygons=tmp_path / "s.gpkg",
        polygon_cfg=PolygonCfg(min_area=100),
        on_pair=lambda *pair: seen.append(pair),
    )
    expected = {
        "lasting from 2": ("lasting change", 2, 1),
        "lasting from 4": ("lasting change", 4, 3),
        "passing": ("passing change", 0, 0),
        "unconfirmed": ("unconfirmed change", 0, 0),
        "hidden": ("lasting change", 4, 2),
    }
    for square, (kind, first, last) in expected.items():
        found = [values_in(path, square) for path in (result.mask, result.first_date, result.last_before)]
        assert found == [[KINDS.index(kind)], [first], [last]], square
    assert len(seen) == 7 and seen[0] == (1, 7, "2010-06-01", "2011-06-01")
    assert result.counts.kinds["passing change"] == 1600 and result.counts.dates == {2: 1600, 4: 3200}
    assert result.counts.supported == result.counts.comparable == 1600
    frame = geopandas.read_file(tmp_path / "s.gpkg").sort_values(["class", "first_date", "last_before"])
    assert result.polygons == len(frame) == 5
    assert frame[["class", "first_date", "last_before"]].fillna("").to_numpy().tolist() == [
        ["lasting change", "2011-06-01", "2010-06-01"],
        ["lasting change", "2013-06-01", "2011-06-01"],
        ["lasting change", "2013-06-01", "2012-06-01"],
        ["passing change", "", ""],
        ["unconfirmed change", "", ""],
    ]
    with rasterio.open(result.first_date) as file:
        assert file.tags(1)["class_4"] == "2013-06-01" and file.tags()["image_3"] == "city_20120601.tif (2012-06-01)"
        assert file.crs.to_epsg() == 32633 and file.nodata == 255
    with rasterio.open(tmp_path / "p.tif") as file:
        change, step = file.read()
        assert (change[SQUARES["lasting from 4"][0][0] + 5, 120] > 180) and (step[25, 120] > 180) and step[25, 25] > 180
        assert step[170, 40] == 255 and step[5, 5] == 255 and change[5, 5] < 20
    assert not list(tmp_path.glob(".*"))


def test_two_images_give_the_map_of_the_pair(detector, series, tmp_path):
    paths = series(2)
    predict_scene(detector(), *paths, tmp_path / "pair.tif", SMALL, probability=tmp_path / "pp.tif")
    predict_series(detector(), paths, tmp_path / "s.tif", SMALL, probability=tmp_path / "sp.tif")
    np.testing.assert_array_equal(read(tmp_path / "s.tif"), read(tmp_path / "pair.tif"))
    np.testing.assert_array_equal(read(tmp_path / "sp.tif"), read(tmp_path / "pp.tif"))
    assert (read(tmp_path / "s.tif") == 1).sum() == 1600 and read(tmp_path / "s_first_date.tif").max() == 2


def test_a_killed_series_resumes_and_writes_the_same_bytes(detector, series, tmp_path, interrupted):
    paths, outputs = series(4), ["s.tif", "s_first_date.tif", "s_last_before.tif"]
    predict_series(detector(), paths, tmp_path / "s.tif", SMALL)
    expected = [(tmp_path / name).read_bytes() for name in outputs]
    for name in outputs:
        (tmp_path / name).unlink()
    model = detector()
    interrupted(model, 4, lambda: predict_series(model, paths, tmp_path / "s.tif", SMALL))
    assert len(list((tmp_path / ".s.tif.pairs").glob("pair_*_*[0-9].tif"))) == 1 and not (tmp_path / "s.tif").exists()
    calls = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    predict_series(model, paths, tmp_path / "s.tif", SMALL)
    assert [(tmp_path / name).read_bytes() for name in outputs] == expected and not list(tmp_path.glob(".*"))
    complete = []
    model.register_forward_pre_hook(lambda *_: complete.append(1))
    predict_series(model, paths, tmp_path / "s.tif", SMALL)
    assert len(calls) - len(complete) < len(complete)


def test_other_grids_are_resampled_to_the_first_one(detector, series, raster, tmp_path):
    """Also those of consecutive pairs, of which the first image is neither."""
    paths = series(4)
    for number in (1, 2):
        with rasterio.open(paths[number]) as file:
            image = np.pad(file.read().transpose(1, 2, 0), ((10, 0), (4, 0), (0, 0)))
        transform = rasterio.transform.from_origin(500_000 - 4, 5_000_000 + 10, 1, 1)
        paths[number] = raster(f"moved_{number}.tif", image, transform=transform, nodata=0)
    result = predict_series(detector(), paths, tmp_path / "s.tif", SMALL, dates=["1", "2", "3", "4"])
    assert read(result.mask).shape == (200, 200) and values_in(result.first_date, "lasting from 2") == [2]
    assert values_in(result.mask, "passing") == [2] and result.names == ("1", "2", "3", "4")


def test_invalid_series(detector, series, tmp_path):
    paths, model = series(3), detector()
    output = tmp_path / "s.tif"
    for images, options, message in [
        (paths[:1], {}, "2 to 253 images, got 1"),
        ([*paths, paths[0]], {}, "is in the series twice"),
        (paths, {"dates": ["2010"]}, "1 dates for 3 images"),
        ([*paths, tmp_path / "none.tif"], {}, "no such file"),
        ([f"{number}.tif" for number in range(30)], {"polygons": tmp_path / "p.gpkg"}, "with polygons has 2 to 22 images"),
    ]:
        with pytest.raises(InputError, match=message):
            predict_series(model, images, output, SMALL, **options)
    with pytest.raises(ConfigError, match="value_range_after: all images of a series"):
        predict_series(model, paths, output, SceneCfg(value_range=(0, 1), value_range_after=(0, 2)))
    with pytest.raises(InputError, match="is the input"):
        predict_series(model, paths, paths[1], SMALL)
    with pytest.warns(UserWarning, match="in the order of their dates"):
        predict_series(model, paths[::-1], output, SMALL)
    (tmp_path / ".s.tif.pairs").mkdir()
    (tmp_path / ".s.tif.pairs" / "thesis.doc").touch()
    with pytest.raises(InputError, match="move it away"):
        predict_series(model, paths, output, SMALL)


def test_a_model_of_buildings_is_refused(tiny, series, tmp_path):
    with pytest.raises(ConfigError, match="the task 'damage' maps each building, also without change"):
        predict_series(tiny(task="damage", class_names=("no damage", "destroyed")), series(2), tmp_path / "s.tif", SMALL)
    assert not (tmp_path / "s.tif").exists()


def test_every_date_has_a_color_of_its_own():
    legend = series_legends([str(number) for number in range(254)])["first_date"]
    assert len(legend.class_names) == len(legend.colors) == 255 and len({*series_legends("12345")["first_date"].colors}) == 6


def test_the_command(series, detector, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    paths = [path.name for path in series(3)]
    monkeypatch.setattr("cdzoo.cli.prediction.load_trained", lambda *_: detector())
    words = ["predict", "--series", *paths, "-o", "s.tif", "--polygons", "s.gpkg", "--tile", "128"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "pair 3 of 3: 2011-06-01, 2012-06-01" in out and "4.00% lasting change, 0.00% passing change, 4.00% unconfirmed" in out
    assert "4.00% since 2011-06-01; a fault of the first image looks the same" in out and "s.gpkg (2 polygons)" in out
    assert 'label="passing change"' in Path("s.qml").read_text()
    for extra, message in [
        (["--stac", "a.json", "b.json"], "--series names the images"),
        (["--value-range-after", "[0, 1]"], "all images of a series"),
        (["--polygons", paths[0]], "use one of .gpkg"),
    ]:
        assert main([*words, *extra]) == 2 and message in capsys.readouterr().err
    assert main(["predict", paths[0], paths[1], "-o", "c.tif", "--dates", "a", "b"]) == 2


def test_report_and_footprints(detector, series, tmp_path, monkeypatch, capsys):
    """The table has the dates of each square, and the page its kinds of change and all dates of the largest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cdzoo.cli.prediction.load_trained", lambda *_: detector())
    paths = [path.name for path in series(5)]
    squares = [
        box(500_000 + left, 5e6 - bottom, 500_000 + right, 5e6 - top) for (top, bottom, left, right), _ in SQUARES.values()
    ]
    squares += [box(500_000, 5e6 - 90, 500_200, 5e6), box(500_070, 5e6 - 60, 500_090, 5e6 - 20)]
    names = [*SQUARES, "both lasting", "none"]
    geopandas.GeoDataFrame({"name": names}, geometry=squares, crs=32633).to_file("squares.gpkg")
    words = ["predict", "--series", *paths, "-o", "s.tif", "--tile", "128", "--report", "r.html", "--footprints", "squares.gpkg"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "r.html" in out and "s_footprints.gpkg (7 polygons: 6 with change" in out
    table = geopandas.read_file("s_footprints.gpkg").set_index("name").fillna("")
    found = {name: [row.cd_class, row.cd_first_date, row.cd_last_before] for name, row in table.iterrows()}
    assert found == {
        "lasting from 2": ["lasting change", "2011-06-01", "2010-06-01"],
        "lasting from 4": ["lasting change", "2013-06-01", "2012-06-01"],
        "passing": ["passing change", "", ""],
        "unconfirmed": ["unconfirmed change", "", ""],
        "hidden": ["lasting change", "2013-06-01", "2011-06-01"],
        "both lasting": ["lasting change", "2011-06-01", "2010-06-01"],
        "none": ["", "", ""],
    }
    of_both = table.loc["both lasting"]
    assert of_both["cd_px_2011-06-01"] == of_both["cd_px_2013-06-01"] == 1600 and of_both["cd_px_2012-06-01"] == 0
    assert of_both["cd_m2_2013-06-01"] == pytest.approx(1600, rel=0.01) and "cd_px_2010-06-01" not in table.columns
    page = Path("r.html").read_text()
    for text in ("lasting change since 2013-06-01", "passing change", "unconfirmed change", "at each date", "both lasting"):
        assert text in page
    assert page.count(">2012-06-01</text>") == 5 and "5: 2010-06-01 (city_20100601.tif), " in page
    table.drop(columns=["cd_pixels"]).reset_index()[["name", "cd_first_date", "geometry"]].to_file("taken.gpkg")
    assert main([*words[:-1], "taken.gpkg"]) == 2 and "has the attribute(s) cd_first_date" in capsys.readouterr().err


@pytest.mark.slow
def test_dates_with_the_bundled_weights(raster, tmp_path):
    """Three generated scenes side by side: the first changes from the second image on, the next from the fourth, one passes."""
    scenes = SyntheticScenes(3, 256, seed=5, unchanged=0)
    both = [np.concatenate([scenes[i].images[date].permute(1, 2, 0).numpy() for i in range(3)], 1) for date in range(2)]
    truth = np.concatenate([scenes[i].target["mask"].numpy() for i in range(3)], 1)
    paths = []
    for index in range(5):
        image = both[0].copy()
        for place, states in enumerate(("01111", "00011", "00100")):
            columns = slice(256 * place, 256 * place + 256)
            image[:, columns] = both[int(states[index])][:, columns]
        paths.append(raster(f"{2018 + index}.tif", image))
    result = predict_series(DEFAULT_WEIGHTS, paths, tmp_path / "s.tif", SceneCfg(progress=False))
    for place, (kind, first) in enumerate(((1, 2), (1, 4), (2, 0))):
        part = np.s_[:, 256 * place : 256 * place + 256]
        kinds, firsts = read(result.mask)[part], read(result.first_date)[part]
        assert f1(kinds == kind, truth[part]) > 0.85 and (firsts[kinds == kind] == first).mean() > 0.99


def f1(found, truth):
    return 2 * (found & (truth > 0)).sum() / (found.sum() + (truth > 0).sum())
