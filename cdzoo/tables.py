"""Tables of results in plain text, CSV, Markdown or JSON."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from cdzoo.names import check_known

FORMATS = ("table", "csv", "json", "markdown")


def check_format(name: str) -> None:
    """Validate the name of a table format.

    Raises:
        ConfigError: `name` is not in `FORMATS`.
    """
    check_known("unknown format", name, FORMATS)


def render(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], form: str = "table", notes: Sequence[str] = ()) -> str:
    """Return a table as text that ends with a newline.

    Args:
        rows: One mapping per row.
        columns: Heading of each column by key, see `split_heading`. JSON ignores `columns` and contains all keys.
        form: One of `FORMATS`.
        notes: Lines below a plain text or Markdown table.

    Raises:
        ConfigError: `form` is not in `FORMATS`.
    """
    check_format(form)
    if form == "json":
        return json.dumps([dict(row) for row in rows], indent=2) + "\n"
    shown = {key: split_heading(key, heading) for key, heading in columns.items()}
    headings = [title for title, _ in shown.values()]
    cells = [[format_cell(row.get(key), spec) for key, (_, spec) in shown.items()] for row in rows]
    if form == "csv":
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([headings, *cells])
        return buffer.getvalue()
    numeric = [any(isinstance(row.get(key), int | float) for row in rows) for key in columns]
    lines = _markdown(headings, cells, numeric) if form == "markdown" else _plain(headings, cells, numeric)
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def split_heading(key: str, heading: str) -> tuple[str, str]:
    """Return the title and the format spec of a heading such as "F1:.2f"; one that equals its key is a title, even with ":"."""
    title, _, spec = (heading, "", "") if heading == key else heading.partition(":")
    return title, spec


def format_cell(value: Any, form: str) -> str:
    """Return a value as text: empty for None, numbers by the format spec."""
    if value is None:
        return ""
    return format(value, form) if form and isinstance(value, int | float) else str(value)


def align(rows: Sequence[Sequence[str]], width: int | None = None, indent: int = 2) -> str:
    """Return lines of aligned columns without a heading.

    The last column is wrapped. It starts on a line of its own if the others take more than 60 % of the width.

    Args:
        rows: Cells of each row, as many in each.
        width: Length of a line; None for lines of any length.
        indent: Number of spaces before each line.
    """
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in rows), strict=True)]
    left = indent + sum(widths) + 2 * len(widths)
    below = width is not None and left > 0.6 * width
    left = indent + 4 if below else left
    wrapper = textwrap.TextWrapper(max((width or 0) - left, 20), break_long_words=False, break_on_hyphens=False)
    lines = []
    for *cells, text in rows:
        first = " " * indent + "".join(f"{cell:<{size}}  " for cell, size in zip(cells, widths, strict=True))
        shown = [text] if width is None else wrapper.wrap(text)
        lines += [first.rstrip(), *(" " * left + line for line in shown)] if below else []
        lines += [] if below else [(first + "".join(shown[:1])).rstrip(), *(" " * left + line for line in shown[1:])]
    return "\n".join(lines)


def _markdown(headings: list[str], cells: list[list[str]], numeric: list[bool]) -> list[str]:
    lines = [headings, ["---:" if right else "---" for right in numeric], *cells]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _plain(headings: list[str], cells: list[list[str]], numeric: list[bool]) -> list[str]:
    widths = [max(len(line[i]) for line in [headings, *cells]) for i in range(len(headings))]
    return [
        "  ".join(
            f"{text:>{w}}" if right else f"{text:<{w}}" for text, w, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in [headings, *cells]
    ]
