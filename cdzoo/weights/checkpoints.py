"""`Checkpoint`: where the authors of a network publish its weights, and under which terms. Nothing is downloaded."""

from __future__ import annotations

import functools
import shlex
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from cdzoo.io.plain_yaml import load_yaml
from cdzoo.names import Patterns, natural_key, select
from cdzoo.validation import config_dataclass

FILE = Path(__file__).with_name("checkpoints.yaml")
_USES = {"non-commercial": "NON-COMMERCIAL", "unstated": "NO LICENSE STATED", "open": ""}


@config_dataclass
class Checkpoint:
    """Published checkpoint of the authors of a network, or the fact that there is none.

    Attributes:
        models: Registered models that it fits.
        backbone: Registered backbone that it fits, for encoders pretrained on ImageNet.
        data: Training data.
        place: Where it is published; empty if it is not.
        file: Name or path of the file there; empty if unknown.
        sha256: Hash of the file; empty if unknown.
        use: What the license of the weights permits: `open` includes commercial use.
        license: License of the weights as the authors state it.
        score: Score in percent that the authors claim, on the test split of the data.
        note: Further remarks.
    """

    models: tuple[str, ...] = ()
    backbone: str = ""
    data: str = ""
    place: str = ""
    file: str = ""
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    use: Literal["open", "non-commercial", "unstated"] = "unstated"
    license: str = ""
    score: str = ""
    note: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Models, or the backbone."""
        return self.models or (self.backbone,)

    def command(self, name: str) -> str:
        """Return the command that converts the file for a model, or for the backbone."""
        file = Path(self.file).name if self.file.endswith((".pth", ".pt")) and " " not in self.file else "FILE"
        return f"cdzoo convert --{'backbone' if self.backbone else 'model'} {name} {shlex.quote(file)} FOLDER"

    def describe(self, name: str) -> str:
        """Return one line: the terms first, then score, place and the command that converts the file."""
        if not self.place:
            return "; ".join(part for part in (self.note or "none found", self.license) if part)
        terms = ": ".join(part for part in (_USES[self.use], self.license) if part)
        where = self.place + (f", {self.file}" if self.file else "") + (f" (sha256 {self.sha256[:16]})" if self.sha256 else "")
        parts = (terms, self.data and f"trained on {self.data}", self.score, where, self.note, self.command(name))
        return "; ".join(part for part in parts if part)


@functools.cache
def all_checkpoints() -> tuple[Checkpoint, ...]:
    """Return all entries of `checkpoints.yaml`."""
    entries = load_yaml(FILE.read_text(encoding="utf-8"))
    return tuple(Checkpoint(**{**entry, "models": tuple(entry.get("models", ()))}) for entry in entries)


def list_checkpoints(filter: Patterns = "*") -> list[tuple[str, Checkpoint]]:
    """Return the checkpoints of networks, each with the name of its model or backbone, in natural order of names.

    Args:
        filter: Wildcard of names, or several of them.
    """
    pairs = [(name, checkpoint) for checkpoint in all_checkpoints() for name in checkpoint.names]
    names = select((name for name, _ in pairs), filter)
    return sorted((pair for pair in pairs if pair[0] in names), key=lambda pair: natural_key(pair[0]))
