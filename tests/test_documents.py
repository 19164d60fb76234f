"""Blocks of code in the documents are executed, links hold, and generated pages are current."""

import importlib.util
import json
import re

import pytest
import torch
from blocks import PAGES, ROOT, commands, expected_output, read_blocks, run_command
from document_files import BEFORE, prepare

import cdzoo
from cdzoo.data.datasets import synthetic
from cdzoo.data.generated import generated
from cdzoo.factory import list_architectures
from cdzoo.registry import COMPONENTS, EXCHANGES, MODELS

LONG_FILES = 400
LANGUAGES = {"python", "bash", "text", "json", "yaml", "toml", "bibtex", "console"}
SLOW = {
    "README.md",
    "docs/classes.md",
    "docs/data.md",
    "docs/export.md",
    "docs/finetune.md",
    "docs/semi.md",
    "docs/tasks.md",
    "docs/training.md",
    "docs/weights.md",
}
"""Pages that train."""
ELSEWHERE = {
    "docs/answers.md": "scenes/test_answers.py",
    "docs/sentinel2.md": "scenes/test_band_files.py",
    "docs/stac.md": "scenes/test_stac.py",
}
"""Pages whose blocks a test of their subject executes."""
CARDS = [page for page in PAGES if page.startswith("docs/zoo/")]
SLOW |= {*CARDS} - {"docs/zoo/glmamba.md", "docs/zoo/tinycd.md"}
NOT_RUN = 23
"""Blocks that cannot run here, each with its reason in the page."""


def of_page(page):
    return pytest.param(page, marks=pytest.mark.slow if page in SLOW else ())


@pytest.fixture
def scratch(tmp_path, monkeypatch, hub):
    """Work in a folder with a local Hub, small synthetic data sets, and registries that are restored afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for splits in (synthetic.SPLITS, synthetic.TASK_SPLITS):
        for split in ("val", "test"):
            monkeypatch.setitem(splits, split, 4)
    generated.cache_clear()  # it may hold the large sets of another test, and must not pass these on
    for registry in (MODELS, EXCHANGES, *COMPONENTS.values()):
        len(registry)  # imports what registers entries
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
        monkeypatch.setattr(registry, "_aliases", dict(registry._aliases))
    if importlib.util.find_spec("cdzoo.app"):
        monkeypatch.setattr("cdzoo.app.server.serve", lambda *arguments: None)  # `cdzoo app` would serve until it is stopped
    yield tmp_path
    generated.cache_clear()


@pytest.mark.filterwarnings("default::UserWarning")  # as on the command line
@pytest.mark.parametrize("page", [of_page(page) for page in PAGES if page not in (*CARDS, *ELSEWHERE) and read_blocks(page)])
def test_blocks_run(page, scratch, hub, capsys):
    blocks = [block for block in read_blocks(page) if not block.not_run]
    prepare("\n".join([BEFORE.get(page, ""), *(block.text for block in blocks)]), scratch, hub)
    for words in commands(BEFORE.get(page, "")):
        run_command(words, f"before {page}")
    scope = {}
    for block in blocks:
        assert block.language in LANGUAGES, f"{block.place}: '{block.language}' is none of {', '.join(sorted(LANGUAGES))}"
        if block.file:
            (scratch / block.file).write_text(block.text)
        elif block.language == "bash":
            for words in commands(block.text):
                run_command(words, block.place)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "python":
            capsys.readouterr()
            exec(compile(block.text, block.place, "exec"), scope)
            printed = capsys.readouterr().out.splitlines()
            for line in expected_output(block.text):
                assert line in printed, f"{block.place} prints {printed}, not {line}"


@pytest.mark.parametrize("page", [of_page(page) for page in CARDS])
def test_blocks_of_cards_run(page):
    """On the meta device, which has shapes only."""
    for block in read_blocks(page):
        if block.language == "python":
            with torch.device("cpu" if "pretrained" in block.text else "meta"):
                exec(compile(block.text, block.place, "exec"), {})


def test_blocks_that_are_not_run_are_few():
    """Each has a reason in its page; raise the number for a block that cannot run on a machine of CI."""
    blocks = [block for page in PAGES for block in read_blocks(page) if block.not_run]
    assert len(blocks) <= NOT_RUN, [f"{block.place}: {block.not_run}" for block in blocks]


def test_every_block_is_found():
    """A block that the pattern misses would not be executed."""
    for page in PAGES:
        fences = re.findall(r"^\s*(?:```|~~~)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(read_blocks(page)), page


def load(tool, monkeypatch):
    """Return a script of tools/ as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    spec = importlib.util.spec_from_file_location(f"{tool}_tool", ROOT / "tools" / f"{tool}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("tool", ["cards", "catalog", "exports", "zoo"])
def test_generated_pages_are_current(tool, monkeypatch):
    """Run `python tools/TOOL.py` to update the pages."""
    module = load(tool, monkeypatch)
    pages = {module.PAGE: module.page()} if tool == "zoo" else module.pages()
    for file, text in pages.items():
        assert file.read_text(encoding="utf-8") == text, file.name
    if tool == "cards":
        assert {*(ROOT / "docs" / "zoo").glob("*.md")} == pages.keys()


@pytest.mark.slow
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


@pytest.mark.parametrize("name", ["CHANGELOG.md", *PAGES])
def test_linked_files_exist(name):
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text()):
        assert (ROOT / name).parent.joinpath(target).exists(), f"{name} links to {target}"


def test_the_reference_has_the_public_names():
    pages = " ".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "api").glob("*.md"))
    for package in (cdzoo, cdzoo.data, cdzoo.losses):
        for name in {*package.__all__} - {"data", "losses", "metrics", "__version__", "LOSSES", "PAIR_LOSSES"}:
            assert re.search(rf"[.`]{name}\b", pages), f"{package.__name__}.{name} is on no page of docs/api"


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
