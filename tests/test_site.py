"""The documentation site is built without a warning, its links lead somewhere, and it loads nothing from other hosts."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("material", reason="the extra docs is not installed")

ROOT = Path(__file__).parents[1]
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href"), ("use", "href")}
"""Attributes whose address a browser asks for on its own."""


class Addresses(HTMLParser):
    """Collects what a page links to, what it loads, and the anchors it has."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], {""}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        for key, value in attrs:
            if (tag, key) in LOADED and values.get("rel") not in ("canonical", "prev", "next"):
                self.loaded.append(value)
            elif key == "href":
                self.links.append(value)


def check(folder):
    """Return one line per link of the pages of a folder that leads nowhere, and per address of another host that they load."""
    pages = {file: Addresses(file.read_text(encoding="utf-8")) for file in sorted(folder.rglob("*.html"))}
    problems = []
    for file, page in pages.items():
        name = file.relative_to(folder).as_posix()
        problems += [f"{name} loads {url}" for url in page.loaded if urlsplit(url).scheme not in ("", "data")]
        for url in {*page.links, *page.loaded}:
            parts = urlsplit(url)
            if parts.scheme or file.name == "404.html":
                continue  # the page of the server, whose links are absolute
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                problems.append(f"{name} links to {url}, which does not exist")
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                problems.append(f"{name} links to {url}, where there is no such anchor")
    return problems


@pytest.mark.slow
def test_the_site_is_built_and_its_links_hold(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "SITE_URL": "", "REPO_URL": "https://example.com/cdzoo"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert check(tmp_path / "site") == []
    for file in [*(tmp_path / "site").rglob("*.css")]:
        assert not re.search(r"url\(['\"]?https?:|@import", file.read_text(encoding="utf-8")), file.name
    assert (tmp_path / "site" / "search" / "search_index.js").stat().st_size > 10_000


def test_checker_finds_what_is_wrong(tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1><a href="b.html#here">B</a><a href="c.html">C</a><a href="#top">A</a><a href="#bottom">A</a>'
        '<a href="https://example.com">elsewhere</a><script src="https://example.com/x.js"></script>'
    )
    (tmp_path / "b.html").write_text('<p id="there">B</p>')
    assert sorted(check(tmp_path)) == [
        "a.html links to #bottom, where there is no such anchor",
        "a.html links to b.html#here, where there is no such anchor",
        "a.html links to c.html, which does not exist",
        "a.html loads https://example.com/x.js",
    ]


def test_links_of_the_readme_lead_into_the_site():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    linked = re.findall(r"\]\(docs/([^)#]+\.md)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(linked) > 10 and [page for page in linked if f"- {page}\n" not in navigation] == []
