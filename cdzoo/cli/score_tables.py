"""Scores of tasks of several classes in the output of `cdzoo eval`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cdzoo.io.files import replace_atomically
from cdzoo.tables import render

if TYPE_CHECKING:
    from cdzoo.results import Results


def further_table(result: Results, class_names: Sequence[str]) -> str:
    """Return the scores of the task as lines: those of the whole map, and a table of those of each class.

    Args:
        result: Results of a model.
        class_names: Names of the classes of its task.
    """
    from cdzoo.metrics import split_scores

    overall, rows = split_scores(result.scores.further, class_names)
    text = f"  {', '.join(f'{name} {value:.4f}' for name, value in overall.items())}\n" if overall else ""
    if result.scores.positive != "change":
        text += f"  (f1 and the scores beside it are of: {result.scores.positive})\n"
    if rows:
        columns = {"class": "class", **{name: f"{name}:.4f" for name in rows[0] if name != "class"}}
        text += "".join(f"  {line}\n" for line in render(rows, columns).splitlines())
    return text


def draw_matrices(result: Results, sheet: Path) -> None:
    """Write the pictures of the matrices of a model as `NAME_MODEL.png`, beside `worst_MODEL.png` of the worst samples."""
    from cdzoo.engine.pictures import matrix_pictures

    for name, picture in matrix_pictures(result.scores).items():
        with replace_atomically(sheet.with_name(f"{name}_{sheet.name.removeprefix('worst_')}")) as temporary:
            picture.save(temporary)
