"""`check_data` lists all problems, and training raises the same errors."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from PIL import Image

from cdzoo.data.check import check_data
from cdzoo.data.folder import FolderPairs
from cdzoo.data.open import DataCfg, open_data
from cdzoo.errors import InputError


def use_everything(root):
    """Open a data set and read every sample, as training does."""
    samples = FolderPairs(root)
    for index in range(len(samples)):
        samples[index]


def truncate(root):
    path = root / "A" / "pair_1.png"
    path.write_bytes(path.read_bytes()[:900])


def other_mask_size(root):
    Image.new("L", (47, 48)).save(root / "label" / "pair_1.png")


def empty(root):
    for path in root.glob("*/*"):
        path.unlink()


def color_mask(root):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)).save(root / "label" / "pair_1.png")


def write_tiff(root, pixels):
    (root / "B" / "pair_1.png").unlink()
    profile = {"driver": "GTiff", "height": 48, "width": 48, "count": 3, "transform": rasterio.Affine.scale(2)}
    with rasterio.open(root / "B" / "pair_1.tif", "w", dtype=pixels.dtype, **profile) as file:
        file.write(pixels)


def sixteen_bits(root):
    write_tiff(root, np.full((3, 48, 48), 3000, np.uint16))


def nan(root):
    pixels = np.ones((3, 48, 48), np.float32)
    pixels[0, 3, 5] = np.nan
    write_tiff(root, pixels)


def missing_partner(root):
    (root / "B" / "pair_1.png").unlink()


def link_loop(root):
    path = root / "A" / "pair_1.png"
    path.unlink()
    path.symlink_to(path)


def no_image(root):
    (root / "A" / "pair_1.png").write_text("not a picture")


def a_folder(root):
    path = root / "A" / "pair_1.png"
    path.unlink()
    path.mkdir()


def class_labels(root):
    Image.fromarray((np.arange(48 * 48).reshape(48, 48) % 5).astype(np.uint8)).save(root / "label" / "pair_1.png")


BROKEN = {
    truncate: r"A/pair_1\.png: the image is damaged or truncated",
    other_mask_size: r"label/pair_1\.png: 47x48 pixels|the sizes of pair_1 differ.*label 47x48",
    empty: "no pair with a mask",
    color_mask: r"label/pair_1\.png: the mask is a color image",
    sixteen_bits: r"B/pair_1\.tif: uint16 values from 3000 to 3000|16-bit integer values, but|1 with 3 band\(s\) uint16",
    nan: r"B/pair_1\.tif: 1 pixel\(s\) are NaN or infinite|float32 values, but",
    missing_partner: r"B/pair_1\.\*: missing, but there is .*A/pair_1\.png",
    link_loop: r"A/pair_1\.png: a broken or circular link",
    no_image: r"A/pair_1\.png: not a readable image",
    a_folder: r"A/pair_1\.png: a folder, not a file",
    class_labels: r"label/pair_1\.png: the mask has values 0, 1, 2, 3, 4",
}


@pytest.mark.parametrize("breaking", BROKEN, ids=lambda f: f.__name__)
def test_each_defect_is_reported_by_the_check_and_by_training(pair_folder, breaking):
    root = pair_folder(4)
    assert check_data(root, progress=False).problems == []
    breaking(root)
    report = check_data(root, progress=False)
    assert re.search(BROKEN[breaking], "\n".join(report.problems)), report.problems
    with pytest.raises(InputError, match=BROKEN[breaking]):
        use_everything(root)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root ignores permissions")
def test_an_unreadable_file_is_named(pair_folder):
    root = pair_folder(2)
    (root / "A" / "pair_1.png").chmod(0)
    assert "A/pair_1.png: no permission to read the file" in "\n".join(check_data(root, progress=False).problems)


def test_all_problems_are_listed_at_once(pair_folder):
    root = pair_folder(6)
    truncate(root)
    (root / "label" / "pair_0.png").unlink()
    (root / "A" / "pair_3.png").write_text("")
    Image.new("L", (48, 50)).save(root / "label" / "pair_4.png")
    text = "\n".join(check_data(root, progress=False).problems)
    assert all(name in text for name in ("pair_0", "pair_1", "pair_3", "pair_4"))


def test_statistics(pair_folder):
    root = pair_folder(3)
    Image.new("L", (48, 48)).save(root / "label" / "pair_2.png")
    report = check_data(root, progress=False)
    (split,) = report.splits
    assert (split.name, split.pairs, split.unchanged_pairs) == ("all", 3, 1)
    assert split.sizes == {(48, 48): 3} and split.formats == [{"3 band(s) uint8": 3}] * 2
    assert split.changed == pytest.approx(2 * 16 * 16 / (3 * 48 * 48))
    assert report.sheet is not None and np.asarray(report.sheet).std() > 10


def test_duplicates_across_splits_are_found_by_content(pair_folder):
    root = pair_folder(2, name="set/train").parent
    shutil.copytree(root / "train", root / "test")
    for folder in ("A", "B", "label"):
        (root / "test" / folder / "pair_1.png").rename(root / "test" / folder / "renamed.png")
    problems = check_data(root, progress=False).problems
    assert len(problems) == 4 and all("the same image in 2 splits" in problem for problem in problems)
    with pytest.raises(InputError, match="has the same content"):
        open_data(DataCfg(str(root)), ("train", "test"))


def test_a_training_split_without_change_is_a_problem(pair_folder):
    root = pair_folder(2)
    for path in (root / "label").iterdir():
        Image.new("L", (48, 48)).save(path)
    assert "nothing to learn" in check_data(root, progress=False).problems[-1]


def test_the_command_returns_1_on_problems_and_writes_a_contact_sheet(pair_folder, tmp_path):
    root = pair_folder(2)
    (root / "label" / "pair_1.png").unlink()
    command = [sys.executable, "-m", "cdzoo", "data", "check", str(root), "--sheet", str(tmp_path / "sheet.png")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "pair_1 has no mask" in done.stdout and "1 problem(s)" in done.stdout
    assert Image.open(tmp_path / "sheet.png").width > 300
    done = subprocess.run([*command, "--exclude", "pair_1"], capture_output=True, text=True)
    assert done.returncode == 0 and "no problems" in done.stdout
