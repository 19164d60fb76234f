"""Files of components of one's own: import, and the copies in run folders."""

import json
import os
import subprocess
import sys

import pytest

from cdzoo import create_model, imports, registry, save_pretrained
from cdzoo.cli.main import main
from cdzoo.errors import InputError

CODE = """
import torch
from cdzoo import register_fusion
from cdzoo.components import LevelFusion

@register_fusion("{name}")
class {name}(LevelFusion):
    def forward(self, x1, x2):
        return torch.maximum(x1, x2)
"""


@pytest.fixture(autouse=True)
def forget(monkeypatch, tmp_path):
    """Forget all imports and registrations after a test, and have a user of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(imports, "_imported", {})
    known = {name: registry.FUSIONS.get(name) for name in registry.FUSIONS}
    yield
    registry.FUSIONS._entries = known


@pytest.fixture
def saved(tmp_path, tiny):
    """A model folder with a fusion of its own, read by a process that has not imported it."""
    file = tmp_path / "mine.py"
    file.write_text(CODE.format(name="kept_fusion"))
    imports.import_file(file)
    save_pretrained(tiny(fusion="kept_fusion"), tmp_path / "model")
    _new_process()
    return tmp_path / "model"


def _new_process():
    imports._imported.clear()
    registry.FUSIONS._entries.pop("kept_fusion", None)


def test_saved_models_know_their_code(saved):
    model = create_model(f"local-dir:{saved}")
    assert type(model.fusion.levels[0]).__name__ == "kept_fusion"
    index = json.loads((saved / "imports" / "index.json").read_text())
    assert list(index) == ["mine.py"] and len(index["mine.py"]) == 64


@pytest.mark.parametrize("elsewhere", ["another user", "changed", "hash changed too", "bytecode"])
def test_code_from_elsewhere_needs_consent(saved, tmp_path, monkeypatch, elsewhere):
    file, marker = saved / "imports" / "mine.py", tmp_path / "ran"
    evil = file.read_text() + f"\nopen({str(marker)!r}, 'w')\n"
    if elsewhere == "another user":
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    if "changed" in elsewhere:
        file.write_text(evil)
    if elsewhere == "hash changed too":
        sha256 = imports.hashlib.sha256(evil.encode()).hexdigest()
        (saved / "imports" / "index.json").write_text(json.dumps({"mine.py": sha256}))
    if elsewhere == "bytecode":  # of other code, which Python would run instead
        plain = file.read_text()
        times = (1_700_000_000, 1_700_000_000)
        file.write_text(evil)
        os.utime(file, times)
        subprocess.run([sys.executable, "-m", "py_compile", str(file)], check=True)
        file.write_text(plain + "#" * (len(evil) - len(plain)))
        os.utime(file, times)
    with pytest.raises(InputError, match=r"needs code of its own.*--import .*imports.mine\.py"):
        create_model(f"local-dir:{saved}")
    assert not marker.exists()
    imports.import_file(file)  # the consent
    assert create_model(f"local-dir:{saved}").config.fusion.name == "kept_fusion"


def test_a_file_that_the_user_names_precedes_the_copy(saved, tmp_path):
    other = tmp_path / "mine.py"
    other.write_text(other.read_text() + "\nNEW = 1\n")
    module = imports.import_file(other)
    with pytest.warns(UserWarning, match="another version of mine.py"):
        model = create_model(f"local-dir:{saved}")
    assert type(model.fusion.levels[0]) is module.kept_fusion


@pytest.mark.parametrize("index", ["[]", "{", '{"../mine.py": "0"}', '{"mine.py": 1}', '{"gone.py": "0"}'])
def test_odd_indexes_are_refused_by_name(saved, index):
    (saved / "imports" / "index.json").write_text(index)
    with pytest.raises(InputError, match="imports"):
        create_model(f"local-dir:{saved}")


def test_edited_files_replace_their_entries(tmp_path):
    file = tmp_path / "mine.py"
    for value in (1, 2):
        file.write_text(CODE.format(name="edited") + f"\nVALUE = {value}\n")
        assert imports.import_file(file).VALUE == value
    assert imports.imported_files() == [file]
    copy = tmp_path / "copy.py"
    copy.write_text(file.read_text())
    assert imports.import_file(copy) is imports.import_file(file)


@pytest.mark.parametrize("end", ["sys.exit(0)", "sys.exit()", "quit()", "raise BaseException('x')", "1 / 0", "def"])
def test_files_that_end_early_are_named(tmp_path, capsys, end):
    (tmp_path / "mine.py").write_text(f"import sys\n{end}\n")
    assert main(["list", "--import", str(tmp_path / "mine.py")]) == 2
    assert "mine.py" in capsys.readouterr().err
