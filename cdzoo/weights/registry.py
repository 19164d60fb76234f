"""`PretrainedCfg`: what there is to know about one published weight, and the list of them.

Only weights that exist are listed. A weight is called `model.tag`; the first tag of a model is its default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from cdzoo.errors import ConfigError, UnknownNameError, WeightsError
from cdzoo.registry import MODELS, natural_key, nearest

HUB_OWNER = "cdzoo"
"""Account on the Hugging Face Hub under which the project's own weights are published, as OWNER/model.tag."""


@dataclass(frozen=True)
class PretrainedCfg:
    """One weight.

    Attributes:
        model: Registered model.
        tag: Name of the weight among those of the model.
        sha256: Of the weights file; it is compared before the file is used.
        file: Folder in the package that holds it; empty when it is on the Hub.
        repo: `owner/name` on the Hub; empty for a bundled weight.
        revision: Commit on the Hub, so that the weight cannot change.
        bands: Bands of each date, in their order.
        mean: Mean of each band of images in [0, 1].
        std: Standard deviation of each band.
        size: Side of the images it was trained on, in pixels.
        classes: Meaning of the classes; "no change" first where there are two or more logits.
        threshold: Probability from which a pixel counts as changed.
        dataset: What it was trained on.
        protocol: Name and hash of the protocol of `metrics`.
        metrics: Scores in [0, 1] on the test split of the protocol.
        provenance: `"measured"` by this project, or `"quoted"`.
        license: SPDX identifier of the weights.
        citation: BibTeX entry; that of the model when empty.
        notes: What else a person should know.
    """

    model: str
    tag: str
    sha256: str
    file: str = ""
    repo: str = ""
    revision: str = ""
    bands: tuple[str, ...] = ("red", "green", "blue")
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    size: int = 256
    classes: tuple[str, ...] = ("change",)
    threshold: float = 0.5
    dataset: str = ""
    protocol: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    provenance: str = "measured"
    license: str = "Apache-2.0"
    citation: str = ""
    notes: str = ""

    def __post_init__(self) -> None:
        """Refuse a weight that could change under its name or could not be found."""
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ConfigError(f"{self.name}: sha256 must be 64 hexadecimal digits, got '{self.sha256}'")
        if bool(self.file) == bool(self.repo):
            raise ConfigError(f"{self.name}: a weight is either a file of the package or in a repository on the Hub")
        if self.repo and not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ConfigError(f"{self.name}: revision must be a commit of {self.repo} (40 digits), got '{self.revision}'")
        if self.provenance not in ("measured", "quoted"):
            raise ConfigError(f"{self.name}: provenance must be measured or quoted, got '{self.provenance}'")

    @property
    def name(self) -> str:
        """`model.tag`."""
        return f"{self.model}.{self.tag}"


_WEIGHTS: dict[str, PretrainedCfg] = {}


def register_pretrained(cfg: PretrainedCfg) -> PretrainedCfg:
    """List a weight; the first one of a model is its default.

    Raises:
        ConfigError: The name is taken.
    """
    if cfg.name in _WEIGHTS and _WEIGHTS[cfg.name] != cfg:
        raise ConfigError(f"there is a weight '{cfg.name}' already")
    _WEIGHTS[cfg.name] = cfg
    return cfg


def list_pretrained(pattern: str | Iterable[str] = "*") -> list[str]:
    """Return the names (`model.tag`) of the weights there are, in natural order; `pattern` is one wildcard or several."""
    wanted = [pattern] if isinstance(pattern, str) else list(pattern)
    return sorted((name for name in _WEIGHTS if any(fnmatchcase(name, one) for one in wanted)), key=natural_key)


def split_tag(name: str) -> tuple[str, str]:
    """Return model and tag of `model.tag`; the tag is empty when none is given."""
    model, _, tag = name.partition(".")
    return model, tag


def get_pretrained(name: str) -> PretrainedCfg:
    """Return the weight called `model.tag`, or the default one of `model`.

    Raises:
        UnknownNameError: There is no such model, or no such tag of it.
        WeightsError: The model has no weights; the message says how to get some.
    """
    model, tag = split_tag(name)
    MODELS.get(model)
    tags = {cfg.tag: cfg for cfg in _WEIGHTS.values() if cfg.model == model}
    if not tags:
        there = ", ".join(list_pretrained()) or "none"
        raise WeightsError(
            f"no weights are published for '{model}' (there are: {there}). Train it: cdzoo train --model {model} --data FOLDER "
            f'--out runs/{model}; then create_model("local-dir:runs/{model}"). Or convert an official checkpoint: cdzoo convert '
            f"--model {model} checkpoint.pth FOLDER"
        )
    if tag and tag not in tags:
        raise UnknownNameError(f"'{model}' has no weights '{tag}'.{nearest(tag, tags)} There are: {', '.join(tags)}")
    return tags[tag] if tag else next(iter(tags.values()))
