"""The registry: register, get, list, near-match errors, registry."""

import subprocess
import sys
import textwrap
import warnings

import pytest

import cdzoo
from cdzoo import registry
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


def test_an_entry_is_found_by_its_own_its_given_and_its_alias_name(fruits):
    assert fruits.get("apple")() == "apple"
    assert fruits.get("pear")() == fruits.get("birne")() == "pear"
    assert fruits.list() == ["apple", "pear"]
    assert "birne" in fruits and "plum" not in fruits and len(fruits) == 2


def test_an_unknown_name_gets_the_nearest_the_list_and_the_way_to_add_one(fruits):
    with pytest.raises(UnknownNameError) as caught:
        fruits.get("aple")
    message = str(caught.value)
    assert "Did you mean 'apple'?" in message
    assert "apple, pear" in message
    assert "register_fruit" in message and "--import" in message
    assert isinstance(caught.value, LookupError) and isinstance(caught.value, CdzooError)


def test_a_taken_name_is_refused_and_both_owners_are_named(fruits):
    with pytest.raises(ConfigError, match=r"apple.*taken by .*apple"):

        @fruits.register("apple")
        def other():
            return "other"

    assert fruits.get("apple")() == "apple"


@pytest.mark.parametrize("name", ["", "1st", "a b", "a/b", "hf:x"])
def test_names_that_would_read_as_something_else_are_refused(fruits, name):
    with pytest.raises(ConfigError):
        fruits.register(name or " ")(lambda: None)


def test_lists_use_wildcards_and_natural_order():
    many = Registry("thing")
    for name in ("s10", "s2", "S1", "other"):
        many.register(name)(lambda: None)
    assert many.list() == ["other", "S1", "s2", "s10"]
    assert many.list("s*") == ["s2", "s10"]
    assert many.list(["s*", "o*"], exclude="s1?") == ["other", "s2"]
    assert many.list("x*") == []


def test_list_components_knows_the_five_kinds():
    for kind in ("backbone", "neck", "fusion", "decoder", "head"):
        assert cdzoo.list_components(kind) == registry.COMPONENTS[kind].list()
        assert cdzoo.list_components(kind)
    with pytest.raises(UnknownNameError, match="Did you mean 'fusion'"):
        cdzoo.list_components("fusions")


def test_list_models_filters():
    assert "glmamba_levir" in cdzoo.list_models("glmamba*")
    assert cdzoo.list_models("glmamba*", exclude="*_levir") == [n for n in cdzoo.list_models("glmamba*") if "levir" not in n]
    assert cdzoo.list_models(pretrained=True) == ["glmamba_tiny"]


def test_a_users_file_registers_its_parts_once(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        textwrap.dedent(
            """
            from cdzoo import register_fusion
            from cdzoo.part import LevelFusion

            @register_fusion("test_imported")
            class Mine(LevelFusion):
                def forward(self, x1, x2):
                    return x1
            """
        )
    )
    try:
        module = registry.import_file(file)
        assert registry.import_file(file) is module
        assert registry.FUSIONS.get("test_imported") is module.Mine
    finally:
        registry.FUSIONS._entries.pop("test_imported", None)


def test_a_users_file_that_fails_is_named(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("1 / 0\n")
    with pytest.raises(InputError, match=r"broken\.py: ZeroDivisionError"):
        registry.import_file(file)
    with pytest.raises(InputError, match=r"missing\.py: expected an existing Python file"):
        registry.import_file(tmp_path / "missing.py")


def test_entry_points_are_loaded_and_a_broken_one_is_a_warning(tmp_path):
    (tmp_path / "good_plugin.py").write_text(
        "import cdzoo\nfrom cdzoo.part import LevelFusion\n"
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
    assert "'bad' (bad_plugin) failed to import" in done.stderr and "boom" in done.stderr


def test_registering_the_same_definition_again_replaces_it():
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
