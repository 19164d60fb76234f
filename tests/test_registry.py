"""Registry: registration, lookup, listing, suggestions, plugins."""

import subprocess
import sys
import textwrap
import warnings

import pytest

import cdzoo
from cdzoo import imports, registry
from cdzoo.errors import CdzooError, ConfigError, InputError, UnknownNameError
from cdzoo.registry import Registry


@pytest.fixture
def fruits():
    one = Registry("fruit")

    @one.register
    def apple():
        return "apple"

    @one.register("pear", aliases=["birne"])
    def make_pear():
        return "pear"

    return one


def test_lookup_by_name_and_alias(fruits):
    assert fruits.get("apple")() == "apple"
    assert fruits.get("pear")() == fruits.get("birne")() == "pear"
    assert fruits.list() == ["apple", "pear"]
    assert "birne" in fruits and "plum" not in fruits and len(fruits) == 2


def test_unknown_names_raise_with_a_suggestion(fruits):
    with pytest.raises(UnknownNameError) as caught:
        fruits.get("aple")
    message = str(caught.value)
    assert "Did you mean 'apple'?" in message
    assert "apple, pear" in message
    assert "register_fruit" in message and "--import" in message
    assert isinstance(caught.value, LookupError) and isinstance(caught.value, CdzooError)


def test_taken_names_raise(fruits):
    with pytest.raises(ConfigError, match=r"apple.*taken by .*apple"):

        @fruits.register("apple")
        def other():
            return "other"

    assert fruits.get("apple")() == "apple"


@pytest.mark.parametrize("name", ["", "1st", "a b", "a/b", "hf:x"])
def test_invalid_names_raise(fruits, name):
    with pytest.raises(ConfigError):
        fruits.register(name or " ")(lambda: None)


def test_list_with_wildcards_in_natural_order():
    many = Registry("thing")
    for name in ("s10", "s2", "S1", "other"):
        many.register(name)(lambda: None)
    assert many.list() == ["other", "S1", "s2", "s10"]
    assert many.list("s*") == ["s2", "s10"]
    assert many.list(["s*", "o*"], exclude="s1?") == ["other", "s2"]
    assert many.list("x*") == []


def test_list_components():
    for kind in ("backbone", "neck", "fusion", "decoder", "head"):
        assert cdzoo.list_components(kind) == registry.COMPONENTS[kind].list()
        assert cdzoo.list_components(kind)
    assert "fusion/bfa" in cdzoo.list_components() and cdzoo.list_components("fusion", "abs*") == ["abs_diff"]
    with pytest.raises(UnknownNameError, match="Did you mean 'fusion'"):
        cdzoo.list_components("fusions")


def test_list_models():
    assert "glmamba_levir" in cdzoo.list_models("glmamba*")
    assert cdzoo.list_models("glmamba*", exclude_filters="*_levir") == [
        n for n in cdzoo.list_models("glmamba*") if "levir" not in n
    ]
    assert cdzoo.list_models(pretrained=True) == ["fc_siam_diff_efficientnet_lite0", "glmamba_tiny"]
    assert cdzoo.list_models(module="bit") == ["bit_s4", "bit_s4_dd8", "bit_s4_dd8_dedim8"]
    assert "bit_levir" not in cdzoo.list_models() and "bit_levir" in cdzoo.list_models("*_levir")
    assert cdzoo.is_model("bit_levir") and cdzoo.is_model("bit_s4") and not cdzoo.is_model("bit_s5")


def test_aliases_of_models_carry_their_description_and_recipe():
    alias, target = registry.MODELS.get("glmamba_gz")(), registry.MODELS.get("glmamba_levir")()
    assert alias.name == target.name == "glmamba_levir"
    assert alias.recipe == "glmamba_gz" and "GZ-CD" in alias.description
    assert registry.MODELS.aliases()["glmamba_gz"] == "glmamba_levir"


def test_registration_imports_nothing():
    code = "import sys, cdzoo.fusion.plain; print(sum(m.split('.')[0] == 'cdzoo' for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 15


def test_import_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        textwrap.dedent(
            """
            from cdzoo import register_fusion
            from cdzoo.components import LevelFusion

            @register_fusion("test_imported")
            class Mine(LevelFusion):
                def forward(self, x1, x2):
                    return x1
            """
        )
    )
    try:
        module = imports.import_file(file)
        assert imports.import_file(file) is module
        assert registry.FUSIONS.get("test_imported") is module.Mine
    finally:
        registry.FUSIONS._entries.pop("test_imported", None)


def test_import_file_errors_name_the_file(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("1 / 0\n")
    with pytest.raises(InputError, match=r"broken\.py: ZeroDivisionError"):
        imports.import_file(file)
    with pytest.raises(InputError, match=r"missing\.py: expected an existing Python file"):
        imports.import_file(tmp_path / "missing.py")


def test_plugins_are_loaded_and_failing_ones_skipped(tmp_path):
    (tmp_path / "good_plugin.py").write_text(
        "import cdzoo\nfrom cdzoo.components import LevelFusion\n"
        "@cdzoo.register_fusion('from_plugin')\nclass P(LevelFusion):\n    pass\n"
    )
    (tmp_path / "bad_plugin.py").write_text("raise RuntimeError('boom')\n")
    info = tmp_path / "some_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cdzoo.plugins]\ngood = good_plugin\nbad = bad_plugin\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import cdzoo; "
        "print('from_plugin' in cdzoo.list_components('fusion'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
    assert "skipped the cdzoo plugin 'bad' (bad_plugin)" in done.stderr and "boom" in done.stderr


def test_registering_a_definition_again_replaces_it():
    one = Registry("thing")

    def define():
        def same():
            return None

        return same

    one.register(define())
    second = define()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one.register(second)
    assert one.get("same") is second
