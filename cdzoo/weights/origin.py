"""`Origin`: the file that the weights of a model were loaded from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """Where the weights of a model come from; a model without one has newly initialized weights.

    Attributes:
        name: Tag (`model.tag`), folder, file, or repository.
        sha256: Hash of the weights file.
    """

    name: str
    sha256: str

    def __str__(self) -> str:
        """Return the name and the beginning of the hash."""
        return f"{self.name} (sha256 {self.sha256[:12]})"
