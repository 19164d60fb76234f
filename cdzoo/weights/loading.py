"""A file of tensors into a model: strictly, or with a report of what did not fit."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from cdzoo.errors import WeightsError
from cdzoo.models.detector import ChangeDetector

_SHOWN = 3


@dataclass(frozen=True)
class LoadReport:
    """What became of each key.

    Attributes:
        matched: Loaded as they are.
        missing: Of the model, but not in the file; they keep their initial values.
        unexpected: In the file, but not of the model; ignored.
        reshaped: Of another shape in the file; they keep their initial values.
        adapted: First layers whose weights were spread over another number of bands.
        fresh: Last layers that start anew for another number of classes.
    """

    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether file and model hold the same keys in the same shapes, but for those that were adapted on request."""
        return not (self.missing or self.unexpected or self.reshaped)

    def __str__(self) -> str:
        """Say it in one line."""
        parts = [f"{len(self.matched)} keys match"]
        for label in ("missing", "unexpected", "reshaped", "adapted", "fresh"):
            keys = getattr(self, label)
            if keys:
                shown = ", ".join(keys[:_SHOWN]) + (", ..." if len(keys) > _SHOWN else "")
                parts.append(f"{len(keys)} {'of another shape' if label == 'reshaped' else label} ({shown})")
        return ", ".join(parts)


def load_weights(
    model: ChangeDetector,
    file: str | Path,
    strict: bool = True,
    sha256: str | None = None,
    adapt_bands: bool = False,
    adapt_classes: bool = False,
) -> LoadReport:
    """Load a safetensors file into a model.

    Args:
        model: Takes the weights, in its own precision.
        file: The file.
        strict: Raise unless every key fits; otherwise load what fits and warn of the rest.
        sha256: What the file must hash to.
        adapt_bands: Spread the kernels of first layers over another number of bands, as timm does: repeated and scaled so
            that the response to grey images stays.
        adapt_classes: Leave last layers for another number of classes as they were initialised.

    Returns:
        What was loaded.

    Raises:
        WeightsError: The file is damaged or not the one expected, or, when strict, a key does not fit; the model is then as it
            was.
    """
    file = Path(file)
    if sha256 is not None:
        check_sha256(file, sha256)
    state = read_tensors(file)
    expected = model.state_dict()
    report = LoadReport(
        missing=sorted(expected.keys() - state.keys()),
        unexpected=sorted(state.keys() - expected.keys()),
    )
    chosen: dict[str, Tensor] = {}
    for key in sorted(expected.keys() & state.keys()):
        given, wanted = state[key], expected[key]
        if given.shape == wanted.shape:
            report.matched.append(key)
            chosen[key] = given
        elif adapt_bands and _is_first(key, given, wanted):
            report.adapted.append(key)
            chosen[key] = _spread_bands(given.float(), wanted.shape[1], model)
        elif adapt_classes and key.startswith("head."):
            report.fresh.append(key)
        else:
            report.reshaped.append(f"{key} {tuple(given.shape)} for {tuple(wanted.shape)}")
    if strict and not report.complete:
        raise WeightsError(f"{file} does not fit model '{model.config.name}': {report}")
    model.load_state_dict(chosen, strict=False)
    if report.adapted or report.fresh or not report.complete:
        warnings.warn(f"{file.name}: {report}", stacklevel=2)
    return report


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        WeightsError: It is none, or is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{file} is no readable safetensors file: {error}") from error


def check_sha256(file: Path, expected: str) -> None:
    """Raise unless a file is the one that is meant.

    Raises:
        WeightsError: Its hash is another one.
    """
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != expected:
        raise WeightsError(
            f"{file} is damaged or not the weights that were published: its sha256 is {digest.hexdigest()}, expected {expected}. "
            "It was not used; get it again with: cdzoo pull --force"
        )


def _is_first(key: str, given: Tensor, wanted: Tensor) -> bool:
    """Tell whether a kernel of the backbone differs in its number of input channels alone."""
    same = given.ndim == wanted.ndim == 4 and given.shape[0] == wanted.shape[0] and given.shape[2:] == wanted.shape[2:]
    return same and key.startswith(("backbone.", "backbone2."))


def _spread_bands(kernel: Tensor, bands: int, model: ChangeDetector) -> Tensor:
    """Repeat the kernels of the known bands over the new ones; with early fusion, those of each date apart."""
    dates = 2 if model.fusion.early else 1
    if kernel.shape[1] % dates or bands % dates:
        raise WeightsError(f"a first layer of {kernel.shape[1]} bands for both dates cannot be spread over {bands}")
    parts = []
    for part in kernel.chunk(dates, dim=1):
        known, wanted = part.shape[1], bands // dates
        repeated = part.repeat(1, -(-wanted // known), 1, 1)[:, :wanted]
        parts.append(repeated * (known / wanted))
    return torch.cat(parts, dim=1)
