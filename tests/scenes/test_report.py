"""Reports: numbers equal to those of the map and the polygons, all kinds of scenes, and pages that are safe to open."""

import base64
import datetime
import hashlib
import io
import json
import re
import shutil

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from page_parser import Page
from PIL import Image
from pyproj import Transformer
from shapely.geometry import box

import cdzoo
from cdzoo.inference.weights import summarize_weights
from cdzoo.io.dates import image_date
from cdzoo.scenes import PolygonCfg, SceneCfg, predict_scene
from cdzoo.weights.origin import Origin
from cdzoo.weights.pretrained import get_pretrained

SMALL = {"tile": 128, "overlap": 48, "progress": False}
CHANGES = "All changes"


def number(text):
    return float(text.replace(",", "").split()[0])


def squares(shift=0):
    """Return two dates (400, 400, 3) with a large square with a hole, a small one, a single pixel, and a faint area."""
    before = np.full((400, 400, 3), 80, np.uint8)
    after = before.copy()
    after[60:260, 100:300] = 220
    after[150:160, 150:160] = 80
    after[300:320, 20:50] = 220
    after[390, 390] = 220
    after[340:350, 200:240] = 146  # a probability of 0.58
    return before, after


@pytest.fixture
def report(detector, raster, tmp_path):
    """Return the page, the map, the probability and the polygons of two dates."""

    def make(before, after, names=("a.tif", "b.tif"), cfg=None, settings=None, **options):
        polygon_cfg, cfg = cfg, SceneCfg(**SMALL, **{"probability": "float32", **(settings or {})})
        paths = raster(names[0], before, **options), raster(names[1], after, **options)
        files = {name: tmp_path / f"out.{suffix}" for name, suffix in (("report", "html"), ("polygons", "gpkg"))}
        predict_scene(detector(), *paths, tmp_path / "m.tif", cfg, tmp_path / "p.tif", polygon_cfg=polygon_cfg, **files)
        with rasterio.open(tmp_path / "m.tif") as mask, rasterio.open(tmp_path / "p.tif") as probability:
            return Page(files["report"]), mask.read(1), probability.read(1), geopandas.read_file(files["polygons"])

    return make


class TestNumbers:
    @pytest.fixture
    def made(self, report):
        return report(*squares())

    def test_key_numbers_are_those_of_the_map(self, made):
        page, mask, _, frame = made
        changed, valid = int((mask == 1).sum()), int((mask != 255).sum())
        assert (changed, valid) == (40_901, 160_000)
        assert page.facts["Share of the area with data"] == f"{changed / valid:.2%}"
        assert f"{changed:,} of {valid:,} pixels" in page.notes["more"]
        # The scale of UTM on the central meridian is 0.9996.
        assert page.facts["Area changed"] == "4.09 ha"
        (exact,) = [text for text in page.notes["more"] if text.endswith("m²") and "largest" not in text]
        assert number(exact) == pytest.approx(changed / 0.9996**2, rel=1e-4)
        assert number(exact) == pytest.approx(frame["area_m2"].sum(), abs=0.5)
        assert page.facts["Changes"] == str(len(frame)) == "4" and page.facts["threshold"] == "0.5"
        assert datetime.date.today().isoformat() in page.facts["predicted"]

    def test_rows_are_those_of_the_polygons(self, made):
        page, _, probability, frame = made
        _, *rows, total = page.tables[CHANGES]
        assert [row[0] for row in rows] == ["1", "2", "3", "4"] and total[0] == "all: 4"
        for row, (_, one) in zip(rows, frame.iterrows(), strict=True):
            assert row[1:4] == [f"{one['area_m2']:,.0f}", f"{one['pixels']:,}", f"{one['mean_probability']:.2f}"]
            latitude, longitude = map(float, row[4].split(", "))
            x, y = Transformer.from_crs(4326, 32633, always_xy=True).transform(longitude, latitude)
            assert one.geometry.buffer(1).contains(box(x, y, x, y).centroid)
        found = [*total[1:4]]
        mean = probability[probability >= 0.5].mean()
        assert found == [f"{frame['area_m2'].sum():,.0f}", "40,901", f"{mean:.2f}"]
        top = page.tables["Largest changes"][1:]
        assert [row[:3] for row in top] == [[row[0], row[1], row[3]] for row in rows]

    def test_shares_at_other_thresholds(self, made):
        page, _, probability, _ = made
        bars = re.search('class="bars".*?</svg>', page.source, re.DOTALL)[0]
        texts = re.findall(r"<text[^>]*>(.*?)</text>", bars)
        found = dict(zip(texts[1::2], texts[::2], strict=True))
        assert [*found] == [f"{step / 10:g}" for step in range(1, 10)]
        for threshold, share in found.items():
            assert share == f"{(probability >= float(threshold)).mean():.2%}"
        assert found["0.5"] != found["0.6"]

    def test_cleaned_polygons_are_told_apart_from_the_map(self, report):
        page, *_, frame = report(*squares(), cfg=PolygonCfg(min_area=10, fill_holes=150))
        _, *rows, total = page.tables[CHANGES]
        assert len(rows) == len(frame) == 3 and total[1] == f"{frame['area_m2'].sum():,.0f}" and total[2] == "40,900"
        assert "Areas of less than 10 m² are left out, holes of less than 150 m² are filled." in page.text
        assert "40,901 of 160,000 pixels" in page.text

    def test_many_changes_are_listed_up_to_two_hundred(self, report):
        before, after = (np.full((200, 200, 3), 80, np.uint8) for _ in range(2))
        for index in range(900):
            row, column = 6 * (index // 30) + 2, 6 * (index % 30) + 2
            after[row : row + 1 + index % 3, column : column + 2] = 220
        page, mask, _, frame = report(before, after)
        _, *rows, smaller, total = page.tables[CHANGES]
        assert len(rows) == 200 and len(frame) == 900
        assert smaller[0] == "smaller: 700" and number(smaller[2]) == frame["pixels"][200:].sum()
        assert total[0] == "all: 900" and number(total[2]) == (mask == 1).sum()
        assert len([one for one in page.attributes("path", "id") if re.fullmatch(r"o\d+", one)]) == 200
        assert len(page.tables["Largest changes"]) == 11 and "The 200 largest of 900." in page.text


class TestScenes:
    def test_without_coordinates(self, report):
        page, mask, *_ = report(*squares(), crs=None, transform=Affine.identity())
        assert page.facts["Area changed"] == "40,901 pixels" and "no coordinates" in page.facts["scene"]
        header, first, *_ = page.tables[CHANGES]
        column, row = map(int, first[-1].split(", "))
        assert header[1] == "area (pixels)" and header[-1] == "column, row" and mask[row, column] == 1
        assert "north" not in page.notes and page.attributes("svg", "data-meters") == [""]

    def test_without_change(self, report):
        page, *_ = report(squares()[0], squares()[0])
        assert page.facts["Area changed"] == "0 m²" and page.facts["Share of the area with data"] == "0.00%"
        assert page.tables[CHANGES][1] == page.tables["Largest changes"][1] == ["no change was found"]
        assert not [tag for tag, _ in page.tags if tag == "figure"][2:]  # those for paper

    def test_parts_without_data(self, report):
        before, after = squares()
        after[:, 200:] = 0
        page, mask, *_ = report(before, after, nodata=0)
        assert page.facts["Scene with data"] == "50.0%" and (mask == 255).mean() == 0.5
        assert page.facts["Share of the area with data"] == f"{(mask == 1).sum() / (mask != 255).sum():.2%}"
        assert "no data" in re.search('id="legend">.*?</div>', page.source, re.DOTALL)[0]

    def test_without_data(self, report):
        before, after = squares()
        page, *_ = report(before, np.zeros_like(after), nodata=0)
        assert page.facts["Area changed"] == page.facts["Share of the area with data"] == "no data"
        assert any("No pixel has data in both dates" in text for text in page.notes["warning"])

    def test_dark_values_of_16_bits_are_stretched_for_display(self, report):
        wide = [image.astype(np.uint16) for image in squares()]
        page, *_ = report(*wide, settings={"value_range": (0, 255)})
        before, after = (np.asarray(picture(uri)) for uri in page.attributes("image", "href")[:2])
        assert page.facts["Changes"] == "4" and before.max() < 5 and after[100, 200].min() > 250

    def test_large_scenes_are_reduced_and_their_largest_changes_are_not(self, report, monkeypatch):
        monkeypatch.setattr("cdzoo.scenes.report.pictures._SIDE", 60)
        monkeypatch.setattr("cdzoo.scenes.report.pictures._MAX_PIXELS", 4000)
        page, mask, *_ = report(*squares())
        before, after, overlay, *_ = (picture(uri) for uri in page.attributes("image", "href"))
        assert before.size == after.size == overlay.size == (58, 58)  # 400 / 7
        assert page.attributes("image", "width")[0] == "406" and page.attributes("svg", "data-factor") == ["7"]
        shown = np.asarray(overlay.convert("RGBA"))[..., 3] > 0
        padded = np.pad(mask == 1, ((0, 6), (0, 6))).reshape(58, 7, 58, 7)
        np.testing.assert_array_equal(shown, padded.any((1, 3)))
        (crop,) = [one for tag, one in page.tags if tag == "image" and one.get("id") == "after-2"]
        assert [crop[name] for name in ("x", "y", "width", "height")] == ["3", "278", "64", "64"]
        difference = np.asarray(picture(crop["href"])).astype(int) - squares()[1][278:342, 3:67]
        assert np.abs(difference).max() < 30  # of the compression

    def test_footprints_are_listed(self, detector, raster, tmp_path):
        paths = [raster(f"{index}.tif", image) for index, image in enumerate(squares())]
        outlines = [
            box(500_010, 4_999_670, 500_060, 4_999_710),
            box(500_100, 4_999_740, 500_200, 4_999_940),
            box(500_000, 4_999_900, 500_050, 4_999_950),
        ]
        frame = geopandas.GeoDataFrame({"name": ["barn", "<hall>", "field"]}, geometry=outlines, crs=32633)
        frame.to_file(tmp_path / "f.gpkg")
        predict_scene(
            detector(), *paths, tmp_path / "m.tif", SceneCfg(**SMALL), report=tmp_path / "r.html", footprints=tmp_path / "f.gpkg"
        )
        page = Page(tmp_path / "r.html")
        header, *rows = page.tables["Footprints with the most change"]
        assert header[:4] == ["name", "fid", "changed (m²)", "area (m²)"]
        assert [row[:2] for row in rows] == [["<hall>", "2"], ["barn", "1"]]
        assert number(rows[0][2]) == pytest.approx(20_000 - 100, rel=2e-3) and rows[1][4] == "30.0%"
        assert {"100 60 100 200", "10 290 50 40"} <= {*page.attributes("tr", "data-box")}


def picture(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


class TestSafety:
    def test_the_page_is_one_self_contained_file(self, report):
        page, *_ = report(*squares(), names=('a"<b>&.tif', "b'<script>alert(1)<%2Fscript>.tif"))
        assert "<b>&" not in page.source and "<script>alert" not in page.source
        assert 'Change from a"<b>&.tif to ' in page.text
        links = [value for _, one in page.tags for name, value in one.items() if name in ("href", "src", "action", "srcset")]
        assert links and all(link.startswith(("data:image/", "#")) for link in links)
        names = {name for _, one in page.tags for name in one}
        assert "style" not in names and not [name for name in names if name.startswith("on")]
        (policy,) = [one["content"] for tag, one in page.tags if one.get("http-equiv") == "Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; img-src data:; ") and "unsafe" not in policy
        for tag in ("style", "script"):
            text = re.search(rf"<{tag}>(.*?)</{tag}>", page.source, re.DOTALL)[1]
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy and "http" not in text
        assert "$" not in re.sub("<(style|script)>.*?</", "", page.source, flags=re.DOTALL).replace("base64", "")

    def test_references_within_the_page_exist(self, report):
        page, *_ = report(*squares())
        identifiers = [one["id"] for _, one in page.tags if "id" in one]
        assert len(identifiers) == len({*identifiers})
        uses = [link[1:] for link in page.attributes("use", "href")] + page.attributes("tr", "data-outline")
        assert {*uses} <= {*identifiers} and {"paths", "before", "after", "map-0", "before-1", "after-4", "o4"} <= {*uses}
        script = re.search(r"<script>(.*?)</script>", page.source, re.DOTALL)[1]
        assert {*re.findall(r'get\("(\w+)"\)', script)} <= {*identifiers}
        assert all(one.get("aria-label") for _, one in page.tags if one.get("role") == "img" or one.get("id") == "at")
        assert {one["type"] for tag, one in page.tags if tag == "button"} == {"button"}


class TestWeights:
    def test_demo_weights_are_named_with_a_warning(self, detector):
        model = detector()
        model.pretrained_cfg = get_pretrained("glmamba_tiny.synthetic")
        model.origin = Origin("glmamba_tiny.synthetic", model.pretrained_cfg.sha256)
        found = summarize_weights(model)
        assert found.name == "glmamba_tiny.synthetic" and found.sha256 == model.origin.sha256 and found.scores["f1"] == 0.9283
        assert "demo weights" in found.warning and "f1 38.09" in found.warning

    def test_random_weights(self, report):
        page, *_ = report(*squares())
        assert page.facts["weights"] == "none loaded" and "means nothing" in page.notes["warning"][0]

    def test_weights_of_a_training_run(self, tmp_path):
        folder = cdzoo.create_model("fc_ef").save_pretrained(tmp_path / "run <1>")
        assert "unknown" in summarize_weights(cdzoo.create_model(f"local-dir:{folder}")).warning
        scores = dict(precision=0.5, recall=0.25, f1=1 / 3, iou=0.2, oa=0.9, kappa=0.3, tp=1, fp=1, fn=3, tn=40)
        results = {"model": "fc_ef", "split": "val", "data": {"data": "/home/me/levir"}}
        results["scores"] = {**scores, "mean_image_f1": 0.3, "images": 7, "threshold": 0.5}
        (folder / "results.json").write_text(json.dumps(results))
        found = summarize_weights(cdzoo.create_model(f"local-dir:{folder}"))
        assert (found.name, found.data, found.warning) == ("run <1>", "levir", "") and found.scores["f1"] == pytest.approx(1 / 3)
        assert found.measured == "change on the validation split of levir, 7 images"
        (folder / "results.json").write_text(json.dumps({**results, "weights_sha256": "0" * 64}))  # of other weights
        assert not summarize_weights(cdzoo.create_model(f"local-dir:{folder}")).scores


class TestDates:
    @pytest.mark.parametrize(
        ("name", "tags", "text", "source"),
        [
            ("a.tif", {"ACQUISITIONDATE": "2019-05-07T10:30:00"}, "2019-05-07", "tag ACQUISITIONDATE"),
            ("2021.tif", {"Date_Acquired": "20190507"}, "2019-05-07", "tag Date_Acquired"),
            ("S2A_20190507T103021_20200101.tif", {"TIFFTAG_DATETIME": "2023:01:01 00:00:00"}, "2019-05-07", "file name"),
            ("a.tif", {"TIFFTAG_DATETIME": "2019:05:07 10:30:00"}, "2019-05-07", "tag TIFFTAG_DATETIME, which may be"),
            ("x20190507103021.tif", {}, "2019-05-07", "file name"),
            ("town_2019.tif", {"ACQUISITIONDATE": "unknown"}, "2019", "file name"),
            ("20190230_2048.tif", {}, None, None),
            ("x12019050799.tif", {"TIFFTAG_DATETIME": "2150:01:01 00:00:00"}, None, None),
        ],
    )
    def test_of_tags_and_names(self, raster, name, tags, text, source):
        path = raster(name, np.zeros((4, 4, 3), np.uint8))
        with rasterio.open(path, "r+") as file:
            file.update_tags(**tags)
        found = image_date(path)
        assert found is None if text is None else (found.text == text and found.source.startswith(source))

    def test_of_the_imagery_domain(self, raster):
        path = raster("a.tif", np.zeros((4, 4, 3), np.uint8))
        with rasterio.open(path, "r+") as file:
            file.update_tags(ns="IMAGERY", ACQUISITIONDATETIME="2019-05-07 10:30:00")
        assert image_date(path).text == "2019-05-07"

    def test_are_shown_and_compared(self, report):
        page, *_ = report(*squares(), names=("b_2020-01-01.tif", "a_2019.tif"))
        assert page.facts["image dates"] == "before: 2020-01-01 (file name); after: 2019 (file name)"
        assert "The first image is dated later than the second" in page.notes["warning"][1]


@pytest.mark.slow
def test_the_page_works_in_a_browser(report, tmp_path):
    """Rows zoom by click and key, the border between the dates moves, and the policy of the page blocks none of it."""
    playwright = pytest.importorskip("playwright.sync_api")
    if (browser := shutil.which("chromium")) is None:
        pytest.skip("needs Chromium")
    report(*squares())
    with playwright.sync_playwright() as engine:
        options = {"executable_path": browser, "args": ["--no-sandbox", "--disable-dev-shm-usage"]}
        window = engine.chromium.launch(**options)
        page, problems = window.new_page(viewport={"width": 1280, "height": 800}), []
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
        page.goto((tmp_path / "out.html").as_uri())

        def view():
            return [float(value) for value in page.get_attribute("#map", "viewBox").split()]

        def shown(selector):
            return page.is_visible(selector)

        left, top, width, height = view()
        assert left <= 0 and top <= 0 and left + width >= 400 and top + height >= 400  # the whole scene
        page.click(".side tr[data-outline=o2]")  # 20 x 30 pixels at column 20, row 300
        left, top, width, height = view()
        assert (left + width / 2, top + height / 2) == pytest.approx((35, 310)) and 40 <= height <= 120
        assert page.inner_text("#status").startswith("2: 600 m²")
        page.focus(".side tr[data-outline=o1] button")
        page.keyboard.press("Enter")
        assert view() != [left, top, width, height]
        page.focus("#map")
        page.keyboard.press("0")
        assert view()[2] >= 400
        page.keyboard.press("+")
        assert view()[2] < 800 and shown(".stage .scale")
        page.click("#all")
        box_ = page.locator("#map").bounding_box()
        page.mouse.move(box_["x"] + box_["width"] / 2, box_["y"] + 50)
        page.mouse.down()
        page.mouse.move(box_["x"] + box_["width"] / 4, box_["y"] + 60, steps=4)
        page.mouse.up()
        assert float(page.input_value("#at")) == pytest.approx(25, abs=1)
        page.select_option("#shown", "")
        assert not shown("#map-0")
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert not problems
        window.close()
