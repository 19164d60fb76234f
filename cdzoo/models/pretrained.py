"""`PretrainedMixin`: models that are saved to folders and loaded from folders and the Hugging Face Hub."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from typing_extensions import Self

from cdzoo.config import ROLES, ModelCfg
from cdzoo.errors import WeightsError
from cdzoo.io.files import file_sha256
from cdzoo.models.assemble import assemble, override
from cdzoo.models.budget import check_size, counted
from cdzoo.models.checks import check_outputs
from cdzoo.registry import COMPONENTS, MODELS
from cdzoo.weights.folder import write_folder
from cdzoo.weights.origin import Origin
from cdzoo.weights.source import find_files
from cdzoo.weights.state import LoadReport, load_weights

_ADAPTED = ("in_chans", "num_classes", "task", "class_names")
"""Fields of a config that may differ from that of the weights."""


class PretrainedMixin(nn.Module):
    """Saving and loading of models that a `ModelCfg` describes."""

    config: ModelCfg
    origin: Origin | None = None
    stacked_dates: int = 1
    """Number of dates whose bands are concatenated in the first layer; more than one with early fusion."""

    @classmethod
    def from_config(cls, config: ModelCfg, **options: Any) -> Self:
        """Build the model that a config describes, with newly initialized weights.

        Args:
            config: Description of the model.
            **options: Changes, as for `create_model`.
        """
        return cls._build(*override(config, options))

    @classmethod
    def _build(cls, config: ModelCfg, instances: Mapping[str, Any], max_parameters: float = math.inf) -> Self:
        """Build a model, unless it has more parameters than its weights can have."""
        name = config.name
        # Registered models are known to be of a reasonable size.
        if instances or name not in MODELS or config != MODELS.get(name)():
            parameters = check_size(config, instances)
            if parameters > max_parameters:
                raise WeightsError(
                    f"the weights do not match the model '{name}': its config describes {parameters:,} parameters, but the "
                    f"weights file has at most {max_parameters:,.0f}"
                )
        with counted(name):
            model: Any = cls(**assemble(config, instances), config=config)
        check_outputs(model)
        return model

    def save_pretrained(
        self,
        folder: str | os.PathLike[str],
        results: str | os.PathLike[str] | None = None,
        picture: str | os.PathLike[str] | None = None,
        card: bool = False,
        cost: str = "",
    ) -> Path:
        """Write a model folder that `create_model("local-dir:FOLDER")` and `from_pretrained` read.

        Args:
            folder: Path of the folder; created if it does not exist.
            results: `results.json` of a training run or an evaluation to copy.
            picture: Image to copy.
            card: Write a model card (README.md).
            cost: Cost of the model for the card, see `cdzoo.flops.describe_cost`.

        Raises:
            ConfigError: A component was passed as an instance and cannot be saved.
            InputError: The results or the picture do not exist.
        """
        from cdzoo.weights.card import write_card

        path = write_folder(folder, self.config, self.state_dict(), results, picture)
        if card:
            write_card(path, self.config, sum(p.numel() for p in self.parameters()), cost)
        return path

    def push_to_hub(self, repo: str, private: bool = False, revision: str | None = None, **extras: Any) -> str:
        """Upload the config, the weights and a model card to the Hugging Face Hub; return the commit.

        Args:
            repo: `owner/name`; created if it does not exist.
            private: Whether a new repository is private.
            revision: Branch; `main` by default.
            **extras: `results`, `picture` and `cost`, as for `save_pretrained`.

        Raises:
            WeightsError: The Hub rejects the upload.
        """
        from cdzoo.weights.hub import push

        with tempfile.TemporaryDirectory() as scratch:
            folder = self.save_pretrained(Path(scratch) / repo.rpartition("/")[2], card=True, **extras)
            return push(folder, repo, private=private, revision=revision)

    @classmethod
    def from_pretrained(
        cls,
        source: str | os.PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> Self:
        """Load a model from a folder or from the Hugging Face Hub.

        Args:
            source: Folder written by `save_pretrained`, or `owner/name` on the Hub, with or without `local-dir:` or `hf-hub:`.
            revision: Branch, tag or commit on the Hub.
            cache_dir: Cache folder of downloads; that of `huggingface_hub` by default.
            **options: Changes, as for `create_model`; the weights must still match. With `in_chans` or `num_classes` the first or
                last layer is adapted, see `load_weights`.

        Raises:
            InputError: The folder or one of its files does not exist.
            ConfigError: The config or an option is invalid.
            WeightsError: The weights cannot be downloaded, or do not match.
        """
        files = find_files(source, revision, cache_dir)
        if files.config.backbone.kwargs.get("pretrained"):  # the file contains the weights of the backbone
            options["backbone_kwargs"] = {"pretrained": False, **(options.get("backbone_kwargs") or {})}
        name = os.fspath(source).removeprefix("local-dir:")
        config, instances = override(files.config, options)
        check_same_components(name, files.config, config)
        model = cls._build(config, instances, _max_parameters(files.weights))
        model.load_weights(files.weights, files.config, files.sha256, name)
        return model

    def load_weights(self, file: Path, saved: ModelCfg | None = None, sha256: str | None = None, name: str = "") -> LoadReport:
        """Load a weights file, adapting the first and last layers if its model has other bands, classes or another task.

        Args:
            file: Safetensors file.
            saved: Config of the model that the weights belong to; that of this model by default.
            sha256: Expected hash of the file.
            name: Name of the weights in `origin`; the path of the file by default.
        """
        changed = {field for field in _ADAPTED if saved is not None and getattr(saved, field) != getattr(self.config, field)}
        report = load_weights(self, file, True, sha256, "in_chans" in changed, bool(changed - {"in_chans"}), self.stacked_dates)
        self.origin = Origin(name or str(file), sha256 or file_sha256(file))
        return report


def check_same_components(source: str, saved: ModelCfg, config: ModelCfg) -> None:
    """Raise unless a model has the components that its weights were trained with. Arguments may differ, if the shapes match.

    Raises:
        WeightsError: A component has another name; the message names both, and what to do.
    """
    for role, kind in ROLES.items():
        aliases = COMPONENTS[kind].aliases()
        names = [cfg and aliases.get(cfg.name, cfg.name) for cfg in (getattr(saved, role), getattr(config, role))]
        new_branches = role.startswith("branch_") and None in (saved.branch_head, config.branch_head)  # another task
        if names[0] != names[1] and not new_branches:
            timm = "; backbone_pretrained=True loads those of a timm encoder" if str(names[1]).startswith("timm/") else ""
            raise WeightsError(
                f"the weights of {source} were trained with another {role}, '{names[0]}' instead of '{names[1]}': leave the "
                f"{role} as it is, or build the model without pretrained weights{timm}"
            )


def _max_parameters(file: Path) -> int:
    """Return the number of parameters that a file can have at most, with a margin for adapted first layers and classifiers."""
    return 1_000_000 + 2 * file.stat().st_size
