"""`cdzoo convert`, `cdzoo push` and `cdzoo pull`."""

from __future__ import annotations

from pathlib import Path

from cdzoo.errors import ConfigError, InputError
from cdzoo.io.files import output_path


def convert(
    checkpoint: str,
    out: str,
    *,
    model: str | None = None,
    backbone: str | None = None,
    in_chans: int | None = None,
    num_classes: int | None = None,
    overwrite: bool = False,
) -> None:
    """Convert an official checkpoint to a model folder.

    Args:
        checkpoint: File of the authors: .pth, .pt or .safetensors.
        out: Folder to write; for a backbone also a .safetensors file.
        model: Model of the checkpoint (cdzoo list --kind model).
        backbone: Backbone of the checkpoint, for an encoder pretrained on ImageNet: vmamba_tiny, mit_b0, timm/NAME.
        in_chans: Number of bands, if different from the model's.
        num_classes: Number of logits, if different from the model's.
        overwrite: Replace the content of the folder.
    """
    if (model is None) == (backbone is None):
        raise ConfigError("name the model of the checkpoint: --model NAME, or --backbone NAME for an ImageNet encoder")
    folder = Path(out)
    file = backbone is not None and folder.suffix == ".safetensors"
    if folder.exists() and (file or any(folder.iterdir())) and not overwrite:
        raise InputError(f"{folder}: already exists; choose another name, or replace it with --overwrite")
    from cdzoo.convert import backbone_from_official, from_official
    from cdzoo.factory import create_model
    from cdzoo.flops import describe_cost
    from cdzoo.weights.folder import WEIGHTS_FILE
    from cdzoo.weights.state import read_checkpoint, write_tensors

    state = read_checkpoint(checkpoint)
    if backbone is not None:
        if in_chans is not None or num_classes is not None:
            raise ConfigError("--in-chans and --num-classes cannot be used with --backbone")
        tensors = backbone_from_official(backbone, state)
        target = output_path(folder) if file else folder / WEIGHTS_FILE
        target.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(target, tensors, backbone=backbone)
        print(f"{len(tensors)} tensors of {backbone}: {target}")
        print(f'use them: cdzoo.create_model(..., backbone="{backbone}", backbone_weights="{folder}")')
        return
    assert model is not None
    tensors = from_official(model, state, in_chans=in_chans, num_classes=num_classes)
    detector = create_model(model, in_chans=in_chans, num_classes=num_classes)
    if detector.config.original:
        print(f"the checkpoint is from {detector.config.original}: its terms apply to the converted weights too")
    detector.load_state_dict(tensors, strict=True)
    detector.save_pretrained(folder, card=True, cost=describe_cost(detector))
    print(f"{len(tensors)} tensors of {model}: {folder}")
    print(f"evaluate it with: cdzoo eval --model {folder} --data FOLDER --split test")


def push(folder: str, repo: str, *, private: bool = False, revision: str | None = None, message: str = "") -> None:
    """Upload a model to the Hugging Face Hub. Log in first: hf auth login.

    Args:
        folder: Folder written by cdzoo train or cdzoo convert.
        repo: owner/name; created if it does not exist.
        private: Make the repository visible to its owners only.
        revision: Branch; main by default.
        message: Commit message.
    """
    from cdzoo.factory import create_model
    from cdzoo.flops import describe_cost
    from cdzoo.weights import hub
    from cdzoo.weights.card import write_card
    from cdzoo.weights.folder import CARD_FILE

    detector = create_model(f"local-dir:{folder}")  # fails for a model that cannot be loaded
    card = Path(folder) / CARD_FILE
    if not card.exists():
        write_card(Path(folder), detector.config, sum(detector.parameter_counts().values()), describe_cost(detector))
        print(f"wrote a model card: {card}")
    commit = hub.push(folder, repo, private, message, revision)
    print(f"published as {repo}, commit {commit}")
    print(f'load it: cdzoo.create_model("hf-hub:{repo}@{commit}")')


def pull(source: str, *, output: str | None = None, force: bool = False) -> None:
    """Download a model from the Hugging Face Hub and verify it.

    Args:
        source: owner/name or owner/name@revision.
        output: Folder to copy it to; the cache of the Hub by default.
        force: Download files that are in the cache again.
    """
    from cdzoo.factory import create_model
    from cdzoo.weights import hub

    folder = hub.pull(source.removeprefix("hf-hub:"), output, force)
    config = create_model(f"local-dir:{folder}").config
    print(f"{config.name}, downloaded and verified: {folder}")
