"""`cdzoo list --kind checkpoint`: where authors publish their weights."""

import pytest
from pydantic import ValidationError

from cdzoo.cli.main import main
from cdzoo.convert import convertible
from cdzoo.errors import ConfigError
from cdzoo.factory import list_architectures
from cdzoo.registry import BACKBONES, MODELS
from cdzoo.weights.checkpoints import Checkpoint, all_checkpoints, list_checkpoints

CONVERTIBLE = [name for name in list_architectures() if convertible(name)]


def test_every_network_with_a_key_map_is_listed():
    listed = {name for name, _ in list_checkpoints()}
    assert set(CONVERTIBLE) <= listed
    assert not {name for name in listed if name.startswith(("glmamba", "vss"))}  # they are published with this project


def test_entries_are_complete():
    for checkpoint in all_checkpoints():
        assert bool(checkpoint.models) != bool(checkpoint.backbone)
        assert all(name in (BACKBONES if checkpoint.backbone else MODELS) for name in checkpoint.names)
        assert checkpoint.note or (checkpoint.place and checkpoint.license), checkpoint
        assert checkpoint.place or not (checkpoint.file or checkpoint.score), checkpoint


def test_terms_come_before_the_place_and_the_command(capsys):
    assert main(["list", "tinycd", "--kind", "checkpoint"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  tinycd ")]
    assert len(lines) == 2  # LEVIR-CD and WHU-CD
    for line in lines:
        terms, place, command = (line.index(part) for part in ("NON-COMMERCIAL", "github.com/", "cdzoo convert --model tinycd "))
        assert terms < place < command
    assert main(["list", "lightcdnet_s", "--kind", "checkpoint"]) == 0
    out = capsys.readouterr().out
    assert "none found" in out and "cdzoo convert" not in out


def test_commands_name_the_file_or_a_placeholder():
    found = Checkpoint(models=("x",), place="somewhere", file="folder/best ckpt.zip", license="MIT", use="open")
    assert found.command("x") == "cdzoo convert --model x FILE FOLDER"
    assert found.describe("x").startswith("MIT; somewhere")
    assert Checkpoint(backbone="vmamba_tiny", file="a/b.pth").command("y") == "cdzoo convert --backbone y b.pth FOLDER"
    with pytest.raises((ConfigError, ValidationError), match="use"):
        Checkpoint(models=("x",), use="free")
