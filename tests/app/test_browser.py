"""The page in a browser: example, uploads, threshold, downloads, messages; nothing is asked from elsewhere."""

import re
import shutil

import numpy as np
import pytest
import rasterio
from PIL import Image

from cdzoo.scenes import SceneCfg, predict_scene

playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome is installed")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def requests():
    return []


@pytest.fixture(scope="module")
def page(browser, server, requests):
    """Return the page, which all tests share as it is loaded once."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    page.on("request", lambda request: requests.append(request.url))
    response = page.goto(server[0])
    assert "default-src 'self'" in response.headers["content-security-policy"]
    page.wait_for_selector("#detect")
    yield page
    page.close()


def upload(page, date, file):
    clear = page.locator(f"#{date} button[aria-label='Clear']")
    if clear.count():
        clear.click()
    page.set_input_files(f"#{date} input[type=file]", file)


def change(page):
    """Return the share of change that the page shows, in percent."""
    return float(re.search(r"([\d.]+)%\s*changed", page.inner_text("#summary"))[1])


def download(page, name, folder):
    with page.expect_download() as event:
        page.click(f"#files a[download='{name}']")
    event.value.save_as(folder / name)
    return folder / name


def detect(page):
    page.click("#detect")
    page.wait_for_selector("#files a[download='report.html']")


def test_example_pair(page, tmp_path):
    page.click("#example")
    page.wait_for_selector("#files a[download='report.html']")
    assert 5 < change(page) < 30
    assert "no coordinates" in page.inner_text("#summary")
    assert "demo weights" in page.inner_text("#card") and "79.71" in page.inner_text("#card")
    assert page.locator("#compared img").count() >= 2
    assert Image.open(download(page, "change.png", tmp_path)).size == (512, 512)


def test_upload_threshold_and_downloads(page, server, files, tmp_path):
    dates = files["before.tif"], files["after.tif"]
    for name, file in zip(("before", "after"), dates, strict=True):
        upload(page, name, file)
    page.wait_for_function("!document.querySelector('#summary').innerText.includes('changed')")  # of the example
    detect(page)
    model = server[1].load(server[1].names[0])
    settings = {"probability": "float32", "progress": False}
    expected = predict_scene(model, *dates, tmp_path / "expected.tif", SceneCfg(**settings))
    assert change(page) == pytest.approx(100 * expected.changed / expected.pixels, abs=0.006)
    text = page.inner_text("#summary")
    assert f"{expected.changed / 4:,.0f} m²" in text.replace("\n", " ") or "m²" in text

    calls, forward = [], model.forward
    model.forward = lambda *images: calls.append(images) or forward(*images)
    number = page.locator("#threshold input[type=number]")
    number.fill("0.8")
    number.press("Enter")
    page.wait_for_selector("text=Prepare files for threshold 0.8")
    higher = predict_scene(model, *dates, tmp_path / "higher.tif", SceneCfg(**settings, threshold=0.8))
    calls.clear()
    assert change(page) == pytest.approx(100 * higher.changed / higher.pixels, abs=0.006) and higher.changed < expected.changed
    page.click("#prepare")
    page.wait_for_selector("#files a[download='report.html']")
    map_file = download(page, "change.tif", tmp_path)
    with rasterio.open(map_file) as found, rasterio.open(higher.mask) as truth, rasterio.open(dates[0]) as image:
        np.testing.assert_array_equal(found.read(), truth.read())
        assert (found.crs, found.transform) == (image.crs, image.transform)
    import geopandas

    polygons = geopandas.read_file(download(page, "change.geojson", tmp_path))
    assert polygons.area_m2.sum() == pytest.approx(higher.changed / 4, rel=0.01)
    assert "<html" in download(page, "report.html", tmp_path).read_text().lower()
    assert not calls, "the network was run for another threshold"
    del model.forward


def test_other_views(page):
    shown = page.locator("#compared img").first
    sources = [shown.get_attribute("src")]
    for title in ("Change map", "After"):
        page.click(f"#view label:has-text('{title}') >> nth=-1")
        page.wait_for_function("old => document.querySelector('#compared img').src != old", arg=sources[-1])
        sources.append(shown.get_attribute("src"))
    assert len({*sources}) == 3


def test_bad_files_are_answered_and_the_page_goes_on(page, files):
    upload(page, "before", files["notes.png"])
    message = page.wait_for_selector("text=notes.png: not an image")
    assert "/" not in message.inner_text().partition(":")[0]
    upload(page, "after", files["large.png"])
    page.wait_for_selector("text=1,100 x 1,000 pixels are more than the 1 megapixels")
    for button in page.locator("[aria-label='Close'], .toast-close").all():
        button.click()
    for name in ("before", "after"):
        upload(page, name, files[f"{name}.png"])
    detect(page)
    assert 0 < change(page) < 50


def test_nothing_is_asked_from_elsewhere(page, server, requests):
    assert len(requests) > 20
    assert [url for url in requests if not url.startswith((server[0], "data:", "blob:"))] == []
