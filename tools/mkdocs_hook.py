"""Hook of MkDocs: pages that lie at the root of the repository, and files of it that pages link to.

Links of the pages are those of the repository, so that they also work where its files are shown. A link out of docs/ leads to
the page made of that file: CONTRIBUTING.md and CHANGELOG.md are pages, README.md is the home page, and any other file is shown
as code.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
HOME = {"README.md": "index.md"}
WIDE = {"zoo.md", "components.md"}
"""Pages whose tables need the place of the table of contents."""
LANGUAGES = {".py": "python", ".sh": "bash", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml", ".csv": "csv"}
LINK = re.compile(r"(\]\()([^)\s:]+?)(#[^)\s]*)?(\))")
FILE_BLOCK = re.compile(r"^(```\w+) file=(\S+)$", re.MULTILINE)
FENCE = re.compile(r"^\s*(`{3,}|~{3,})")


def on_config(config: MkDocsConfig) -> None:
    """Link to the repository at the foot of each page, if its address is known."""
    if url := os.environ.get("REPO_URL"):
        config.copyright = f'{config.copyright} · <a href="{escape(url)}">Repository</a>'


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages at the root, and a page for each file of the repository that another page links to."""
    sources = {f"docs/{file.src_uri}": file.content_string for file in files.documentation_pages()}
    for name, page in PAGES.items():
        sources[name] = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_relinked(sources[name], name)))
    for source, text in sources.items():
        for target in _targets(text, source):
            if _page(target) == f"source/{target}.md" and f"source/{target}.md" not in files.src_uris:
                files.append(File.generated(config, f"source/{target}.md", content=_code(target)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page with links to pages of the site."""
    if page.file.src_uri in WIDE:
        page.meta["hide"] = ["toc"]
    return markdown if page.file.generated_by else _relinked(markdown, f"docs/{page.file.src_uri}")


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the content of a page without the roles and double colons of reStructuredText, which some docstrings have."""
    return html if "doc-contents" not in html else re.sub(r"::(?=</p>)", ":", re.sub(r":\w+:(?=<code>)", "", html))


def _relinked(text: str, source: str) -> str:
    """Return the text of a file of the repository with links that hold on its page, and the names of files as titles of code."""
    text = FILE_BLOCK.sub(r'\1 title="\2"', text)
    here = posixpath.dirname(_page(source))

    def replace(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        if not (ROOT / target).exists():
            return match[0]  # MkDocs reports it
        return f"{match[1]}{posixpath.relpath(_page(target), here or '.')}{match[3] or ''}{match[4]}"

    return "".join(LINK.sub(replace, line) if prose else line for line, prose in _lines(text))


def _targets(text: str, source: str) -> Iterator[str]:
    """Yield the files of the repository that a text links to."""
    for line, prose in _lines(text):
        for match in LINK.finditer(line) if prose else ():
            target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
            if (ROOT / target).exists():
                yield target


def _page(target: str) -> str:
    """Return the page, or other file of the site, that shows a file of the repository."""
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    return PAGES.get(target) or HOME.get(target) or f"source/{target}.md"


def _code(target: str) -> str:
    """Return a page that shows a file, or the names of the files of a folder, left out of the search."""
    path = ROOT / target
    if path.suffix == ".ipynb":
        return _relinked(_notebook(path), target)
    names = sorted(file.name for file in path.iterdir() if not file.name.startswith((".", "__"))) if path.is_dir() else []
    text = "\n".join(names) if path.is_dir() else path.read_text(encoding="utf-8")
    language = LANGUAGES.get(path.suffix, "text")
    return f"---\nsearch:\n  exclude: true\n---\n\n# {target}\n\n`````{language}\n{text.rstrip()}\n`````\n"


def _notebook(path: Path) -> str:
    """Return the cells of a notebook as a page: text, and blocks of code."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = [(cell["cell_type"] == "code", "".join(cell["source"])) for cell in cells]
    return "\n\n".join(f"```python\n{text}\n```" if is_code else text for is_code, text in texts) + "\n"


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it is prose rather than part of a block of code."""
    fence = ""
    for line in text.splitlines(keepends=True):
        match = FENCE.match(line)
        if match and not fence:
            fence = match[1]
        elif match and match[1].startswith(fence) and line.strip() == match[1]:
            fence = ""
            yield line, False
            continue
        yield line, not fence
