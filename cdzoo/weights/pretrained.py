"""`PretrainedCfg`: description of published weights, and the list of them.

Weights are called `model.tag`; the first tag of a model is its default. Only published weights are listed. Weights in the package
are stored in `bundled/MODEL.TAG`, each with a `pretrained.json`.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from cdzoo.config import Mean, Std
from cdzoo.constants import MIN_SIZE
from cdzoo.errors import ConfigError, UnknownNameError, WeightsError
from cdzoo.names import Patterns, select, suggest
from cdzoo.registry import MODELS
from cdzoo.validation import Scale, config_dataclass
from cdzoo.weights.folder import WEIGHTS_FILE

_Meters = Annotated[float, Field(gt=0, le=1e4)]
BUNDLED = Path(__file__).parent / "bundled"
DESCRIPTION_FILE = "pretrained.json"


@config_dataclass
class PretrainedCfg:
    """Published weights of a model.

    Attributes:
        model: Registered model.
        tag: Name of the weights among those of the model.
        sha256: Hash of the weights file, verified before it is used.
        file: Folder in the package; empty for weights on the Hub.
        repo: `owner/name` on the Hub; empty for weights in the package.
        revision: Commit on the Hub.
        bands: Names of the bands of each date, in order.
        mean: Mean of each band of images in [0, 1].
        std: Standard deviation of each band.
        input_scale: Factor by which images are enlarged for the network; that of the model by default.
        size: Side of the training images in pixels.
        pixel_size: Smallest and largest side in meters, on the ground, of the pixels of images that the weights are for; None if
            it is unknown.
        classes: Names of the classes; "no change" first for two or more logits.
        threshold: Minimum probability for a pixel to count as changed.
        dataset: Training data.
        protocol: Name and hash of the protocol of `metrics`.
        metrics: Scores in [0, 1] on the test split of the protocol.
        zero_shot: Score in percent on real images, with what they are; none of them was used for training.
        provenance: `"measured"` by this project, or `"quoted"`.
        license: SPDX identifier of the weights.
        citation: BibTeX entry; that of the model if empty.
        notes: Further remarks.
    """

    model: str
    tag: str
    sha256: str
    file: str = ""
    repo: str = ""
    revision: str = ""
    bands: tuple[str, ...] = ("red", "green", "blue")
    mean: tuple[Mean, ...] = ()
    std: tuple[Std, ...] = ()
    input_scale: Scale | None = None
    size: Annotated[int, Field(ge=MIN_SIZE)] = 256
    pixel_size: tuple[_Meters, _Meters] | None = None
    classes: tuple[str, ...] = ("change",)
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    dataset: str = ""
    protocol: str = ""
    metrics: dict[str, Annotated[float, Field(ge=0, le=1)]] = field(default_factory=dict)
    zero_shot: str = ""
    provenance: Literal["measured", "quoted"] = "measured"
    license: str = "Apache-2.0"
    citation: str = ""
    notes: str = ""

    def __post_init__(self) -> None:
        """Validate the fields."""
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ConfigError(f"{self.name}: sha256 must be 64 hexadecimal digits, got '{self.sha256}'")
        if self.pixel_size is not None and self.pixel_size[0] > self.pixel_size[1]:
            raise ConfigError(f"{self.name}: pixel_size is (smallest, largest), got {self.pixel_size}")
        if bool(self.file) == bool(self.repo):
            raise ConfigError(f"{self.name}: weights are either in the package (file) or on the Hub (repo)")
        if self.repo and not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ConfigError(f"{self.name}: revision must be a commit of {self.repo} (40 digits), got '{self.revision}'")

    @property
    def name(self) -> str:
        """`model.tag`."""
        return f"{self.model}.{self.tag}"


_PRETRAINED: dict[str, PretrainedCfg] = {}


def register_pretrained(cfg: PretrainedCfg) -> PretrainedCfg:
    """Register published weights; the first ones of a model are its default.

    Raises:
        ConfigError: The name is taken.
    """
    if cfg.name in _PRETRAINED and _PRETRAINED[cfg.name] != cfg:
        raise ConfigError(f"the weights '{cfg.name}' are already registered")
    _PRETRAINED[cfg.name] = cfg
    return cfg


def list_pretrained(filter: Patterns = "*") -> list[str]:
    """Return the names (`model.tag`) of published weights in natural order; `filter` is a wildcard or several of them."""
    return select(_PRETRAINED, filter)


def get_pretrained(name: str) -> PretrainedCfg:
    """Return the weights `model.tag`, or the default weights of `model`.

    Raises:
        UnknownNameError: The model or the tag does not exist.
        WeightsError: No weights of the model are published.
    """
    model, _, tag = name.partition(".")
    target = MODELS.aliases().get(model, model)
    MODELS.get(target)
    tags = {cfg.tag: cfg for cfg in _PRETRAINED.values() if cfg.model == target}
    if not tags:
        published = ", ".join(list_pretrained()) or "none"
        raise WeightsError(
            f"no weights of '{model}' are published (published: {published}). Train it: cdzoo train --model {model} --data "
            f'FOLDER --out runs/{model}; then create_model("local-dir:runs/{model}"). Or convert an official checkpoint: '
            f"cdzoo convert --model {model} checkpoint.pth FOLDER. Commands run it untrained with --random-weights"
        )
    if tag and tag not in tags:
        raise UnknownNameError(f"'{model}' has no weights '{tag}'.{suggest(tag, tags)} Tags: {', '.join(tags)}")
    return tags[tag] if tag else next(iter(tags.values()))


get_pretrained_cfg = get_pretrained


def weights_file(cfg: PretrainedCfg, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the path of published weights; those on the Hub are downloaded."""
    if not cfg.repo:
        return bundled_folder(cfg) / WEIGHTS_FILE
    from cdzoo.weights.hub import download

    return download(f"{cfg.repo}@{cfg.revision}", WEIGHTS_FILE, cache_dir=cache_dir)


def bundled_folder(cfg: PretrainedCfg) -> Path:
    """Return the folder of weights in the package."""
    return BUNDLED / cfg.file


for _file in sorted(BUNDLED.glob(f"*/{DESCRIPTION_FILE}")):
    register_pretrained(PretrainedCfg(**json.loads(_file.read_text(encoding="utf-8"))))
