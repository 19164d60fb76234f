"""Blocks of code in the documents, and how they are executed: in their order, in one folder and one Python scope per page."""

from __future__ import annotations

import re
import shlex
import subprocess
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import pairwise
from os.path import expanduser
from pathlib import Path

from cdzoo.cli.main import main

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *sorted(str(page.relative_to(ROOT).as_posix()) for page in (ROOT / "docs").rglob("*.md")),
]
"""Documents whose blocks are executed; CHANGELOG.md has none."""

BLOCK = re.compile(r"^(?:<!-- (?P<mark>[\w ]+): (?P<value>.+?) -->\n+)?^```(?P<info>.*)\n(?P<text>(?:.*\n)*?)```$", re.MULTILINE)
SHELL = {"mkdir", "ls", "cp", "cat"}
"""Commands other than cdzoo that are executed."""
OF_CI = {"pip", "pytest", "pre-commit", "bash"}
"""Commands that CI runs, with the same arguments or on its way."""
OUTPUTS = ("-o", "--out", "--html", "--per-image", "--robustness", "--probability", "--polygons", "--report")
"""Options whose values are written."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, text, page and line, and what the comment before it says.

    `<!-- not run: REASON -->` marks a block that cannot run here, and `<!-- file: NAME -->` one that is saved as a file.
    """

    page: str
    line: int
    language: str
    text: str
    not_run: str = ""
    file: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def read_blocks(page: str) -> list[Block]:
    """Return the blocks of a page in their order."""
    content = (ROOT / page).read_text(encoding="utf-8")
    blocks = []
    for match in BLOCK.finditer(content):
        language, _, options = match["info"].partition(" ")
        assert match["mark"] in (None, "not run", "file"), f"{page}: unknown comment '{match['mark']}' before a block"
        if options.startswith("file="):
            mark = {"not_run": "tests/test_walks.py adds the file to a copy of the package"}
        else:
            mark = {match["mark"].replace(" ", "_"): match["value"]} if match["mark"] else {}
        blocks.append(Block(page, content[: match.start("info")].count("\n") + 1, language, match["text"], **mark))
    return blocks


def commands(text: str) -> list[list[str]]:
    """Return the commands of a block as words; those with pipes or redirections are one word of the shell."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words = shlex.split(line, comments=True)
        if {"|", ">"} & {*words}:
            found.append(["bash -c", line])
            continue
        while "&&" in words:
            found.append(words[: words.index("&&")])
            words = words[words.index("&&") + 1 :]
        found.append(words)
    return found


def shortened(words: list[str]) -> list[str]:
    """Return the arguments of cdzoo with training cut to one epoch of small crops."""
    if words[0] == "demo":
        return [*words, "--size", "64"]
    if words[0] != "train":
        return words
    data = words.index("--data") + 1 if "--data" in words else 0
    if data and words[data].startswith("synthetic"):
        words = [*words[:data], f"{words[data].partition(':')[0]}:4", *words[data + 1 :]]
    return [*words, "--epochs", "1", "--early-stopping", "null", "--batch-size", "8", "--crop", "32", "--progress", "false"]


def run_command(words: list[str], place: str) -> None:
    """Execute a command, and check that what it writes exists."""
    name = words[0] if words[0] != "bash -c" else words[1].split()[0]
    if words[0] == "cdzoo":
        try:
            code = main(shortened(words[1:]))
        except SystemExit as stop:  # of the parser
            code = stop.code
        small = words[1:3] == ["data", "info"]  # ends with 1 for a copy with fewer samples than the official one
        assert code in ((0, 1) if small else (0, None)), f"{place}: {shlex.join(words)} ended with {code}"
        for option, value in pairwise(words):
            assert option not in OUTPUTS or Path(value).exists(), f"{place}: {shlex.join(words)} has not written {value}"
    elif name == "cdzoo":
        line, _, target = words[1].partition(" > ")
        with Path(target.strip()).expanduser().open("w") as file, redirect_stdout(file):
            assert main(shlex.split(line)[1:]) == 0, f"{place}: {line}"
    elif name in SHELL:
        subprocess.run(["bash", "-c", words[1] if words[0] == "bash -c" else shlex.join(map(expanduser, words))], check=True)
    else:
        assert name in OF_CI, f"{place}: '{name}' is not executed; put <!-- not run: REASON --> in the line before the block"


def expected_output(source: str) -> list[str]:
    """Return what a Python block says that it prints: comments behind a `print`, or in the line after it."""
    lines = [*source.splitlines(), ""]
    found = []
    for line, following in pairwise(lines):
        if line.lstrip().startswith("print("):
            _, _, comment = line.partition(")  # ")
            found.append(comment or following.partition("# ")[2] * following.startswith("# "))
    return [text for text in found if text]
