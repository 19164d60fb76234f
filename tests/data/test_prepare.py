"""Tiles on disk are the tiles cut on the fly."""

import json

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

import cdzoo.data.prepare as preparing
from cdzoo.cli.main import main
from cdzoo.data.folder import FilePairs, FolderPairs
from cdzoo.data.layout import list_split
from cdzoo.data.prepare import write_tiles
from cdzoo.data.tiles import TiledPairs
from cdzoo.errors import InputError


def equal(one, other):
    return all(
        torch.equal(a, b) for a, b in zip((*one.images, one.target["mask"]), (*other.images, other.target["mask"]), strict=True)
    )


@pytest.mark.parametrize("ones", [1, 255])
def test_prepared_tiles_are_the_same_samples(pair_folder, tmp_path, ones):
    root = pair_folder(3, 100, ones=ones)
    whole = FolderPairs(root)
    counts = write_tiles({"train": whole.pairs}, tmp_path / "tiles", 48, progress=False)
    flying, lying = TiledPairs(whole, 48), FolderPairs(tmp_path / "tiles" / "train")
    assert counts == {"train": 12} and len(lying) == len(flying) == 12
    by_name = {sample.name: sample for sample in lying}
    for sample in (flying[i] for i in range(12)):
        assert equal(sample, by_name[sample.name])
    assert json.loads((tmp_path / "tiles" / "cdzoo_tiles.json").read_text()) == {"tile": 48, "tiles": counts}


def test_scenes_are_read_by_window_to_the_same_tiles(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    profile = {"driver": "GTiff", "height": 130, "width": 170, "dtype": "uint8", "transform": rasterio.Affine.scale(0.2)}
    mask = np.zeros((1, 130, 170), np.uint8)
    mask[0, 20:90, 60:120] = 255
    for kind, pixels in (("A", None), ("B", None), ("label", mask)):
        (tmp_path / "set" / "train" / kind).mkdir(parents=True)
        pixels = rng.integers(0, 255, (3, 130, 170), dtype=np.uint8) if pixels is None else pixels
        with rasterio.open(tmp_path / "set" / "train" / kind / "scene.tif", "w", count=len(pixels), **profile) as file:
            file.write(pixels)
    pairs = list_split(tmp_path / "set", "train").pairs
    write_tiles({"train": pairs}, tmp_path / "whole", 64, progress=False)
    monkeypatch.setattr(preparing, "_LARGE", 1000)
    write_tiles({"train": pairs}, tmp_path / "windows", 64, progress=False)
    one, other = FolderPairs(tmp_path / "whole" / "train"), FolderPairs(tmp_path / "windows" / "train")
    assert one.names == other.names and len(one) == 6
    for a, b in zip(one, other, strict=True):
        assert equal(a, b)


def test_nothing_is_half_written(pair_folder, tmp_path):
    pairs = FolderPairs(pair_folder(3, 64)).pairs
    Image.open(pairs[1].image_b).convert("L").save(pairs[1].image_b)
    pairs[2].image_a.write_bytes(pairs[2].image_a.read_bytes()[:500])
    with pytest.raises(InputError, match="damaged or truncated"):
        write_tiles({"train": pairs}, tmp_path / "tiles", 32, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs"]
    (tmp_path / "tiles").mkdir()
    with pytest.raises(InputError, match="there is something already"):
        write_tiles({"train": pairs[:1]}, tmp_path / "tiles", 32, progress=False)


def test_the_command_cuts_a_folder_of_splits(pair_folder, tmp_path, capsys):
    root = pair_folder(2, 96, name="set/train").parent
    pair_folder(1, 64, name="set/val")
    assert main(["data", "prepare", str(root), "--out", str(tmp_path / "tiles"), "--tile", "48"]) == 0
    assert "train 8 tiles, val 1 tiles" in capsys.readouterr().out
    assert len(FilePairs(list_split(tmp_path / "tiles", "train").pairs)) == 8
