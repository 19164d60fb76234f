"""Maps for another threshold from a stored probability equal those that the network predicts at it."""

import re

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

from cdzoo.errors import InputError
from cdzoo.scenes import PolygonCfg, SceneCfg, predict_scene
from cdzoo.scenes.areas import area_function
from cdzoo.scenes.threshold import change_threshold, map_overview

SETTINGS = {"tile": 64, "overlap": 16, "probability": "float32", "progress": False}


@pytest.fixture
def dates(raster):
    """Write two random dates of 110 x 90 pixels that lie in UTM; the second one has a corner without data."""
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 255, (2, 110, 90, 3), dtype=np.uint8)
    after[:20, :30] = 255
    return raster("a.tif", before), raster("b.tif", after, nodata=255)


@pytest.fixture
def model(tiny, request):
    torch.manual_seed(1)
    options = {"task": "semantic", "class_names": ("road", "tree", "house")} if request.param == "semantic" else {}
    return tiny(**options).eval()


@pytest.mark.parametrize("model", ["binary", "semantic"], indirect=True)
def test_maps_polygons_and_report_equal_those_of_the_network(dates, model, tmp_path):
    def files(name):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return folder / "c.tif", folder / "c.geojson", folder / "c.html"

    first = predict_scene(model, *dates, tmp_path / "c.tif", SceneCfg(**SETTINGS), probability=tmp_path / "p.tif")
    with rasterio.open(first.probability) as file:
        threshold = float(np.nanmedian(file.read(1)))  # a threshold that half of the pixels reach
    expected, polygons, page = files("network")
    cleaning = PolygonCfg(min_area=5)
    options = {"polygons": polygons, "report": page, "polygon_cfg": cleaning}
    whole = predict_scene(model, *dates, expected, SceneCfg(**SETTINGS, threshold=threshold), **options)

    model.forward = None  # cannot be called
    found, again, shown = files("stored")
    options |= {"polygons": again, "report": shown}
    result = change_threshold(model, *dates, first.probability, found, threshold, SceneCfg(**SETTINGS), **options)

    assert (result.changed, result.pixels, result.polygons) == (whole.changed, whole.pixels, whole.polygons)
    assert result.classes == whole.classes and first.changed != whole.changed
    assert result.further.keys() == whole.further.keys()
    for one, other in zip((found, *result.further.values()), (expected, *whole.further.values()), strict=True):
        with rasterio.open(one) as a, rasterio.open(other) as b:
            np.testing.assert_array_equal(a.read(), b.read())
            assert a.crs == b.crs and a.transform == b.transform and a.tags(1) == b.tags(1)
            assert {**b.tags(), "job_sha256": None} == {**a.tags(), "job_sha256": None}
    # The hash of the job is that of a run of the network, and no other map may have it.
    assert again.read_text() == polygons.read_text()
    assert shown.read_text() == re.sub(r"<dt>job_sha256</dt><dd>\w+</dd>", "", page.read_text())
    assert not [*tmp_path.glob("stored/.*")]

    overview = map_overview(first.probability, model.task, threshold, 40)
    assert (overview.pixels, overview.changed) == (whole.pixels, whole.changed)
    assert overview.maps.keys() == model.task.maps.keys()
    assert all(values.shape == (37, 30) for values in overview.maps.values())


@pytest.mark.parametrize("model", ["binary"], indirect=True)
class TestOverview:
    @pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32633", None])
    def test_area_is_that_of_the_changed_pixels_on_the_ground(self, tmp_path, model, crs):
        values = np.random.default_rng(0).random((300, 200), np.float32)
        values[:5] = np.nan
        place = from_origin(13, 60, 1e-4, 2e-4) if crs == "EPSG:4326" else from_origin(500_000, 5_000_000, 2, 2)
        profile = {"driver": "GTiff", "height": 300, "width": 200, "count": 1, "dtype": "float32", "nodata": np.nan}
        with rasterio.open(tmp_path / "p.tif", "w", **profile, crs=crs, transform=place) as file:
            file.write(values, 1)
        found = map_overview(tmp_path / "p.tif", model.task, 0.7, 1000)
        changed = values >= 0.7
        assert (found.pixels, found.changed) == (295 * 200, changed.sum())
        np.testing.assert_array_equal(found.maps["change"], np.where(np.isnan(values), 255, changed))
        if crs is None:
            assert found.area is None
            return
        import shapely

        x, y = np.nonzero(changed)[::-1]
        boxes = shapely.transform(shapely.box(x, y, x + 1, y + 1), lambda at: at * [place.a, place.e] + [place.c, place.f])
        assert found.area == pytest.approx(area_function(rasterio.crs.CRS.from_string(crs))(boxes).sum(), rel=1e-4)

    def test_a_threshold_out_of_range_is_refused(self, dates, model, tmp_path):
        with pytest.raises(InputError, match="between 0 and 1, got 1"):
            change_threshold(model, *dates, tmp_path / "p.tif", tmp_path / "c.tif", 1)


def test_progress_is_reported_and_may_stop_the_run(dates, detector, tmp_path):
    seen, model = [], detector()
    cfg = SceneCfg(**SETTINGS, batch_size=1)
    predict_scene(model, *dates, tmp_path / "c.tif", cfg, on_progress=seen.append)
    assert len(seen) > 1 and seen == sorted(seen) and seen[-1] == 1

    def stop(share):
        raise RuntimeError(f"stopped at {share:.2f}")

    with pytest.raises(RuntimeError, match=r"stopped at 0"):
        predict_scene(model, *dates, tmp_path / "d.tif", cfg, on_progress=stop)
    assert not (tmp_path / "d.tif").exists()
    assert predict_scene(model, *dates, tmp_path / "d.tif", cfg, on_progress=seen.append).resumed == 1
