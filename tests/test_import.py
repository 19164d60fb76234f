"""`import cdzoo` is fast and silent."""

import subprocess
import sys

import pytest

import cdzoo

HEAVY = ("torch", "torchvision", "timm", "lightning", "torchmetrics", "rasterio", "matplotlib", "mamba_ssm", "triton", "PIL")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_import_prints_nothing_and_is_fast():
    assert run(f"import sys, cdzoo; assert not set(sys.modules) & set({HEAVY!r}), set(sys.modules) & set({HEAVY!r})") == ""


def test_building_a_model_imports_no_training_code():
    heavy = ("lightning", "torchmetrics", "timm", "torchvision", "rasterio", "matplotlib")
    code = "import sys, cdzoo; cdzoo.create_model('glmamba_tiny');"
    assert run(code + f"assert not set(sys.modules) & set({heavy!r}), set(sys.modules) & set({heavy!r})") == ""


@pytest.mark.parametrize("name", [n for n in cdzoo.__all__ if n != "__version__"])
def test_public_names_are_documented(name):
    assert getattr(cdzoo, name).__doc__ or name.startswith("register_")


def test_unknown_attributes_raise():
    with pytest.raises(AttributeError, match="No cdzoo attribute create_modle"):
        cdzoo.create_modle  # noqa: B018


def test_documented_names_of_earlier_versions_warn_and_work():
    with pytest.warns(DeprecationWarning, match=r"cdzoo\.PartCfg is deprecated, use cdzoo\.ComponentCfg"):
        assert cdzoo.PartCfg is cdzoo.ComponentCfg
    with pytest.warns(DeprecationWarning, match=r"cdzoo\.config\.PartCfg is deprecated, use ComponentCfg"):
        assert cdzoo.config.PartCfg is cdzoo.ComponentCfg
    sys.modules.pop("cdzoo.part", None)
    with pytest.warns(DeprecationWarning, match=r"cdzoo\.part is deprecated, use cdzoo\.components"):
        from cdzoo.part import LevelFusion, PerLevelFusion
    assert LevelFusion.__module__ == PerLevelFusion.__module__ == "cdzoo.components"
