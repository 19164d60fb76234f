"""Training recipes: one small YAML file each, with the settings of a paper and their source."""

from __future__ import annotations

from pathlib import Path

from cdzoo.errors import UnknownNameError
from cdzoo.names import natural_key, suggest

FOLDER = Path(__file__).parent


def list_recipes() -> list[str]:
    """Return the names of the recipes."""
    return sorted((path.stem for path in FOLDER.glob("*.yaml")), key=natural_key)


def recipe_path(name: str) -> Path:
    """Return the file of a recipe; the path of a YAML file is returned unchanged.

    Raises:
        UnknownNameError: The recipe does not exist.
    """
    own = Path(name)
    if own.suffix in (".yaml", ".yml") and own.is_file():
        return own
    known = list_recipes()
    if name not in known:
        raise UnknownNameError(f"unknown recipe '{name}'.{suggest(name, known)} Recipes: {', '.join(known)}, or a YAML file")
    return FOLDER / f"{name}.yaml"


def describe_recipe(name: str) -> str:
    """Return the comment in the first line of a recipe."""
    return recipe_path(name).read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")
