"""Tiles on disk equal tiles cut when they are read."""

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
from cdzoo.data.masks import MaskEncoding
from cdzoo.data.prepare import write_tiles
from cdzoo.data.tiles import TiledPairs
from cdzoo.errors import InputError


def assert_equal(sample, other):
    assert all(map(torch.equal, sample.images, other.images)) and torch.equal(sample.target["mask"], other.target["mask"])


@pytest.mark.parametrize("ones", [1, 255])
def test_prepared_tiles_are_the_same_samples(pair_folder, tmp_path, ones):
    root = pair_folder(3, 100, ones=ones)
    whole = FolderPairs(root)
    counts = write_tiles({"train": whole.pairs}, tmp_path / "tiles", 48, progress=False)
    cut, stored = TiledPairs(whole, 48), FolderPairs(tmp_path / "tiles" / "train")
    assert counts == {"train": 12} and len(stored) == len(cut) == 12
    by_name = {sample.name: sample for sample in stored}
    for index in range(12):
        assert_equal(cut[index], by_name[cut[index].name])
    assert json.loads((tmp_path / "tiles" / "cdzoo_tiles.json").read_text()) == {"tile": 48, "tiles": counts}


def test_scenes_read_by_window_give_the_same_tiles(tmp_path, monkeypatch):
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
    whole, windows = FolderPairs(tmp_path / "whole" / "train"), FolderPairs(tmp_path / "windows" / "train")
    assert whole.names == windows.names and len(whole) == 6
    for index in range(6):
        assert_equal(whole[index], windows[index])


def test_a_failure_leaves_no_folder(pair_folder, tmp_path):
    pairs = FolderPairs(pair_folder(3, 64)).pairs
    Image.open(pairs[1].images[1]).convert("L").save(pairs[1].images[1])
    pairs[2].images[0].write_bytes(pairs[2].images[0].read_bytes()[:500])
    with pytest.raises(InputError, match="damaged or truncated"):
        write_tiles({"train": pairs}, tmp_path / "tiles", 32, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs"]
    (tmp_path / "tiles").mkdir()
    with pytest.raises(InputError, match="tiles already exists"):
        write_tiles({"train": pairs[:1]}, tmp_path / "tiles", 32, progress=False)


def test_command_cuts_a_folder_of_splits(pair_folder, tmp_path, capsys):
    root = pair_folder(2, 96, name="set/train").parent
    pair_folder(1, 64, name="set/val")
    assert main(["data", "prepare", str(root), "--out", str(tmp_path / "tiles"), "--tile", "48"]) == 0
    assert "train 8 tiles, val 1 tiles" in capsys.readouterr().out
    assert len(FilePairs(list_split(tmp_path / "tiles", "train").pairs)) == 8


def test_pixels_without_a_label_stay_so_and_images_without_data_raise(pair_folder, tmp_path, capsys):
    root = pair_folder(2, 96, ones=2, name="set/train").parent
    for path in (root / "train" / "label").iterdir():
        pixels = np.array(Image.open(path))
        pixels[:20] = 7
        Image.fromarray(pixels).save(path)
    words = ["data", "prepare", str(root), "--tile", "48", "--mask-encoding", "0/2/7"]
    assert main([*words, "--out", str(tmp_path / "tiles")]) == 0
    assert "--mask-encoding 0/1/255" in capsys.readouterr().out
    tiles, whole = (list_split(folder, "train").pairs for folder in (tmp_path / "tiles", root))
    stored, cut = (
        FilePairs(tiles, encoding=MaskEncoding("0/1/255")),
        TiledPairs(FilePairs(whole, encoding=MaskEncoding("0/2/7")), 48),
    )
    for sample, other in zip(stored, cut, strict=True):
        assert_equal(sample, other)
    image = np.array(Image.open(root / "train" / "A" / "pair_0.png"))
    image[:9] = 0
    with rasterio.open(
        root / "train" / "A" / "pair_0.tif", "w", "GTiff", 96, 96, 3, dtype="uint8", transform=rasterio.Affine.scale(2), nodata=0
    ) as file:
        file.write(image.transpose(2, 0, 1))
    (root / "train" / "A" / "pair_0.png").unlink()
    assert main([*words, "--out", str(tmp_path / "more")]) == 2
    assert "pair_0.tif: has pixels without data, which PNG tiles cannot tell" in capsys.readouterr().err
