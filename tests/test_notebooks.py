"""The notebooks run from top to bottom, store no outputs, and show pictures."""

import re
from pathlib import Path

import pytest
from PIL import Image

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
FOLDER = Path(__file__).parents[1] / "notebooks"
SMALL = {
    "your_own_pair": {"SIZE": 128},
    "swap_a_fusion": {"PAIRS": 8, "EPOCHS": 1, "CROP": 32, "TEST": "val"},
}
"""Values of the parameters of each notebook that make it quick."""


def notebooks():
    return {file.stem: nbformat.read(file, as_version=4) for file in FOLDER.glob("*.ipynb")}


def test_notebooks_are_valid_and_store_no_outputs():
    assert notebooks().keys() == SMALL.keys()
    for book in notebooks().values():
        nbformat.validate(book)
        assert book.metadata.kernelspec.name == "python3"
        code = [cell for cell in book.cells if cell.cell_type == "code"]
        assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
        assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1


def test_the_page_is_followed(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    from cdzoo.data import SyntheticScenes

    monkeypatch.chdir(tmp_path)
    for image, name in zip(SyntheticScenes(1, 64)[0].images, ("before.png", "after.png"), strict=True):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(name)
    page = (FOLDER.parent / "docs" / "notebooks.md").read_text()
    assert len(page.splitlines()) <= 60 and all(f"notebooks/{name}.ipynb" in page for name in SMALL)
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    exec(compile(block, "docs/notebooks.md", "exec"), {})
    assert Path("change_overlay.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_notebooks_run(name, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    book = notebooks()[name]
    cell = next(cell for cell in book.cells if "parameters" in cell.metadata.get("tags", []))
    values = SMALL[name]
    assert all(f"{key} = " in cell.source for key in values)
    cell.source += "".join(f"\n{key} = {value!r}" for key, value in values.items())
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    shown = [{"text/plain": output.get("text", ""), **output.get("data", {})} for output in outputs]
    texts = "".join(data["text/plain"] + data.get("text/markdown", "") for data in shown)
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    # One step of training changes no pixel, of which cdzoo warns.
    assert "Traceback" not in texts and not re.search(r"\b(?!User)\w+Warning", texts) and len(texts.splitlines()) < 60
    if name == "your_own_pair":
        assert len(pictures) == 3 and (tmp_path / "change_overlay.png").is_file()
    else:
        assert len(pictures) == 1 and texts.count("gated_diff") >= 3 and "F1 to first" in texts
