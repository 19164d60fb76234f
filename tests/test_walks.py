"""The example files of CONTRIBUTING.md work when added to a copy of the package, without further changes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cdzoo

ROOT = Path(__file__).parents[1]
FILES = dict(re.findall(r"^```python file=(\S+)\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Return a copy of the package with all example files."""
    root = tmp_path_factory.mktemp("walks")
    shutil.copytree(Path(cdzoo.__file__).parent, root / "cdzoo", ignore=shutil.ignore_patterns("__pycache__"))
    for name, source in FILES.items():
        assert not (root / name).exists()
        (root / name).write_text(source)
    (fusion,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)
    (root / "cdzoo" / "fusion" / "my_fusion.py").write_text(fusion)
    return root


def run(package, code, **environment):
    command = [sys.executable, "-c", f"import cdzoo, torch; assert cdzoo.__file__.startswith({str(package)!r})\n{code}"]
    environment = {**os.environ, "PYTHONPATH": str(package), **environment}
    done = subprocess.run(command, cwd=package, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_contributing_shows_every_kind_of_extension():
    assert {name.split("/")[1] for name in FILES} == {"data", "models", "backbones"}


def test_components_and_models(package):
    code = """
x1, x2 = torch.rand(2, 1, 3, 64, 64)
size = {"channels": 8, "depths": (1, 1, 1, 1), "d_state": 2}
print(cdzoo.create_model("glmamba_tiny", backbone_kwargs=size, fusion="max")(x1, x2).shape[1])
print(cdzoo.create_model("fc_siam_bfa")(x1, x2).shape[1], "fc_siam_bfa" in cdzoo.list_models())
model = cdzoo.create_model("glmamba_tiny", backbone_kwargs={**size, "exchange": [None, "mean", None, None]}).eval()
plain = cdzoo.create_model("glmamba_tiny", backbone_kwargs=size).eval()
print(plain.load_state_dict(model.state_dict()), bool((plain(x1, x2) - model(x1, x2)).abs().max() > 1e-6))
"""
    assert run(package, code).split() == "1 2 True <All keys matched successfully> True".split()


def test_data_set(package, tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (("train", 2), ("val", 1), ("test", 1)):
        for folder in ("A", "B", "label"):
            (tmp_path / "my_city" / split / folder).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
                pixels = pixels if folder != "label" else (pixels[..., 0] > 128).astype(np.uint8) * 255
                Image.fromarray(pixels).save(tmp_path / "my_city" / split / folder / f"{split}_{index}.png")
    code = """
from cdzoo.data.open import DataCfg, open_data
opened = open_data(DataCfg("my_city"), ("train", "test"))
print(len(opened.splits["train"]), opened.protocol.name, "my_city" in cdzoo.list_datasets())
"""
    assert run(package, code, CDZOO_DATA=str(tmp_path)).split() == ["2", "my_city_64", "True"]
