"""`cdzoo convert`, `cdzoo push` and `cdzoo pull`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cdzoo.errors import ConfigError, InputError


def run_convert(checkpoint: str, out: str, model: str | None, backbone: str | None, overwrite: bool, **options: Any) -> None:
    """Turn an official checkpoint into a folder that cdzoo reads."""
    if (model is None) == (backbone is None):
        raise ConfigError("say what the checkpoint is of: --model NAME, or --backbone NAME for an encoder trained on ImageNet")
    folder = Path(out)
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise InputError(f"{folder}: there is something already; choose another folder, or replace it with --overwrite")
    from cdzoo.convert import backbone_from_official, from_official
    from cdzoo.factory import create_model
    from cdzoo.flops import describe_cost
    from cdzoo.weights.folder import WEIGHTS_FILE
    from cdzoo.weights.state import read_checkpoint, write_tensors

    given = {name: value for name, value in options.items() if value is not None}
    state = read_checkpoint(checkpoint)
    if backbone is not None:
        if given:
            raise ConfigError(f"--{next(iter(given))} does not go with --backbone")
        tensors = backbone_from_official(backbone, state)
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder / WEIGHTS_FILE, tensors, backbone=backbone)
        print(f"{len(tensors)} tensors of {backbone}: {folder / WEIGHTS_FILE}")
        print(f'use them: cdzoo.create_model(..., backbone="{backbone}", backbone_weights="{folder}")')
        return
    assert model is not None
    tensors = from_official(model, state, **given)
    detector = create_model(model, **given)
    detector.load_state_dict(tensors, strict=True)
    detector.save_pretrained(folder, card=True, cost=describe_cost(detector))
    print(f"{len(tensors)} tensors of {model}: {folder}")
    if detector.config.original:
        print(f"the checkpoint is from {detector.config.original}: its terms bind the converted weights too")
    print(f"judge it with: cdzoo eval --model {folder} --data FOLDER --split test")


def run_push(folder: str, repo: str, private: bool, revision: str | None, message: str) -> None:
    """Publish a folder with a model on the Hugging Face Hub."""
    from cdzoo.factory import create_model
    from cdzoo.flops import describe_cost
    from cdzoo.weights.card import write_card
    from cdzoo.weights.folder import CARD_FILE
    from cdzoo.weights.hub import push

    detector = create_model(f"local-dir:{folder}")  # what cannot be loaded is not published
    card = Path(folder) / CARD_FILE
    if not card.exists():
        write_card(Path(folder), detector.config, sum(detector.parameter_counts().values()), describe_cost(detector))
        print(f"wrote a model card: {card}")
    commit = push(folder, repo, private, message, revision)
    print(f"published as {repo}, commit {commit}")
    print(f'load it: cdzoo.create_model("hf-hub:{repo}@{commit}")')


def run_pull(source: str, output: str | None, force: bool) -> None:
    """Fetch a model from the Hugging Face Hub and check it."""
    from cdzoo.factory import create_model
    from cdzoo.weights.hub import pull

    folder = pull(source.removeprefix("hf-hub:"), output, force)
    config = create_model(f"local-dir:{folder}").config
    print(f"{config.name}, complete and checked: {folder}")
